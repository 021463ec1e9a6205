(* Model files: FORMAT.md 2.1 to 2.3, and 2.5. *)
open Refused

(* described: what the digest says of the configuration beside the sizes. transformer: of this architecture, what there is more. *)
type t = {
  architecture : string;
  sizes : (string * int) list;
  described : (string * Json.t) list;
  transformer : Transformers.t option;
  weights : (string * Container.tensor) list;
}

let size model name = List.assoc name model.sizes

(* What a configuration may say of an architecture; shapes: of its tensors, from sizes. Of these, biases and those unused may be absent. *)
type architecture = {
  name : string;
  ranges : (string * (int * int)) list;
  required : (string * (Json.t list * bool)) list;
  ignored : string list;
  unused : string list;
  shapes : (string -> int) -> (string * int list) list;
}

let width = (1, 1 lsl 20)
let vocab = (2, 2048)

(* Of attention, with that many heads. *)
let attention n heads =
  let d = n "d_model" and h = n "d_head" and name = ( ^ ) "blocks.0.attn." in
  [
    ("embed.W_E", [ n "d_vocab"; d ]); ("pos_embed.W_pos", [ n "n_ctx"; d ]); (name "W_Q", [ heads; d; h ]); (name "W_K", [ heads; d; h ]);
    (name "W_V", [ heads; d; h ]); (name "W_O", [ heads; h; d ]); (name "b_Q", [ heads; h ]); (name "b_K", [ heads; h ]);
    (name "b_V", [ heads; h ]); (name "b_O", [ d ]); ("unembed.W_U", [ d; n "d_vocab_out" ]); ("unembed.b_U", [ n "d_vocab_out" ]);
  ]

let attention_only =
  {
    name = "attention-only";
    ranges = [ ("d_head", width); ("d_model", width); ("d_vocab", vocab); ("d_vocab_out", vocab); ("n_ctx", (2, 64)) ];
    required = (Json.[ ("attn_only", ([ Bool true ], false)); ("n_heads", ([ Int Z.one; Decimal Q.one ], false)) ]) @ Keys.one_layer;
    ignored = [ "act_fn"; "d_mlp"; "gated_mlp" ] @ Keys.without_influence;
    unused = [];
    shapes = (fun n -> attention n 1);
  }

let uniform_attention =
  let with_equals = (3, 2049) in
  {
    name = "uniform-attention";
    ranges =
      [ ("d_head", width); ("d_mlp", width); ("d_model", width); ("d_vocab", with_equals); ("d_vocab_out", (2, 2049)); ("n_ctx", (3, 3)); ("n_heads", (1, 1024)) ];
    required =
      Json.
        [
          ("act_fn", ([ String "relu" ], false)); ("attention_pattern", ([ String "uniform" ], false)); ("attn_only", ([ Bool false ], true));
          ("gated_mlp", ([ Bool false ], true));
        ]
      @ Keys.one_layer;
    ignored = Keys.without_influence;
    unused = [ "blocks.0.attn.W_Q"; "blocks.0.attn.W_K" ];
    shapes =
      (fun n ->
        let d = n "d_model" and m = n "d_mlp" in
        ("blocks.0.mlp.W_in", [ d; m ]) :: ("blocks.0.mlp.b_in", [ m ]) :: ("blocks.0.mlp.W_out", [ m; d ]) :: ("blocks.0.mlp.b_out", [ d ])
        :: attention n (n "n_heads"));
  }

let group_mlp =
  {
    name = "group-mlp";
    ranges = [ ("d_mlp", width); ("d_vocab", vocab); ("d_vocab_out", vocab) ];
    required = [ ("act_fn", ([ Json.String "relu" ], true)) ];
    ignored = Keys.without_influence;
    unused = [];
    shapes =
      (fun n ->
        let v = n "d_vocab" and m = n "d_mlp" and o = n "d_vocab_out" in
        [ ("embed_left.W_E", [ v; m ]); ("embed_right.W_E", [ v; m ]); ("mlp.b_in", [ m ]); ("unembed.W_U", [ m; o ]); ("unembed.b_U", [ o ]) ]);
  }

(* How many elements there are: the token "=" of uniform attention is none. *)
let elements model = size model "d_vocab" - if model.architecture = "uniform-attention" then 1 else 0

(* attn_scale: a number. For attention-only -1, or within a relative 5e-7 of sqrt (d_head), which is meant; the others have no scores. *)
let check_scale d_head = function
  | None -> ()
  | Some value ->
      let scale = match value with Json.Int z -> Q.of_bigint z | Json.Decimal q -> q | _ -> malformed "attn_scale is no number" in
      let near factor d = Q.mul (Q.mul factor factor) (Q.of_int d) and square = Q.mul scale scale in
      let off = Q.of_ints 5 10_000_000 in
      let within d = Q.leq (near (Q.sub Q.one off) d) square && Q.leq square (near (Q.add Q.one off) d) in
      Option.iter (fun d -> need (Q.equal scale Q.minus_one || (Q.sign scale > 0 && within d)) "attn_scale is not sqrt(d_head)") d_head

let of_transformer (found : Transformers.t) =
  { name = "transformer"; ranges = []; required = []; ignored = []; unused = []; shapes = (fun _ -> found.shapes) }

let architecture_of name =
  match List.find_opt (fun one -> one.name = name) [ attention_only; uniform_attention; group_mlp ] with
  | Some architecture -> architecture
  | None -> unsupported "architecture %s" name

let name_of config =
  let default = if List.mem_assoc "attention_pattern" config then "uniform-attention" else "attention-only" in
  Json.text "architecture" (Option.value (List.assoc_opt "architecture" config) ~default:(Json.String default))

let sizes_of { ranges; required; ignored; name; _ } config =
  let found key = List.assoc_opt key config in
  Keys.check config required (("architecture" :: "attn_scale" :: List.map fst ranges) @ ignored);
  let size (key, range) =
    let value =
      match (key, found key) with
      | "d_vocab_out", None -> found "d_vocab"
      | "d_vocab_out", Some (Json.Int z) when Z.equal z Z.minus_one -> found "d_vocab"
      | _, value -> value
    in
    (key, Keys.size key range value)
  in
  let sizes = List.map size ranges in
  check_scale (if name = "attention-only" then List.assoc_opt "d_head" sizes else None) (found "attn_scale");
  sizes

let is_mask n (t : Container.tensor) =
  let row i = String.make (i + 1) '\001' ^ String.make (n - i - 1) '\000' in
  t.dtype = "BOOL" && t.shape = [ n; n ] && Container.bytes t = String.concat "" (List.init n row)

let is_minus_infinity (t : Container.tensor) =
  let patterns = [ ("F32", "\x00\x00\x80\xff"); ("F64", "\x00\x00\x00\x00\x00\x00\xf0\xff"); ("F16", "\x00\xfc"); ("BF16", "\x80\xff") ] in
  Container.count t = 1 && List.assoc_opt t.dtype patterns = Some (Container.bytes t)

let parse (file : Container.file) =
  List.iter (fun (key, _) -> need (List.mem key [ "config"; "task"; "format" ]) "unknown metadata %s" key) file.metadata;
  Option.iter (fun task -> Json.integral (Json.parse task)) (List.assoc_opt "task" file.metadata);
  let config = match List.assoc_opt "config" file.metadata with Some text -> text | None -> malformed "metadata has no config: not a model file" in
  let config = Json.members "the configuration" (Json.parse config) in
  let name = name_of config in
  let transformer = if name = "transformer" then Some (Transformers.parse config) else None in
  let architecture, sizes, described =
    match transformer with
    | Some found -> (of_transformer found, found.sizes, found.described)
    | None -> let architecture = architecture_of name in (architecture, sizes_of architecture config, [])
  in
  let shapes = architecture.shapes (fun key -> List.assoc key sizes) and positions = List.assoc_opt "n_ctx" sizes in
  let is_weight (name, (tensor : Container.tensor)) =
    match (name, positions) with
    | "blocks.0.attn.mask", Some n -> need (is_mask n tensor) "buffer %s is not the causal mask" name; false
    | "blocks.0.attn.IGNORE", Some _ -> need (is_minus_infinity tensor) "buffer %s is not -infinity" name; false
    | _ ->
        need (List.assoc_opt name shapes = Some tensor.shape) "tensor %s is unknown, or has another shape" name;
        need (List.mem tensor.dtype [ "F16"; "BF16"; "F32"; "F64" ]) "tensor %s has dtype %s" name tensor.dtype;
        true
  in
  let weights = List.filter is_weight file.tensors in
  let may_be_absent name = String.sub name (String.rindex name '.' + 1) 1 = "b" || List.mem name architecture.unused in
  List.iter (fun (name, _) -> need (may_be_absent name || List.mem_assoc name weights) "tensor %s is missing" name) shapes;
  { architecture = architecture.name; sizes; described; transformer; weights }

let digest model =
  let block text = let length = Bytes.create 8 in Bytes.set_int64_le length 0 (Int64.of_int (String.length text)); Bytes.to_string length ^ text in
  let number n = Json.Int (Z.of_int n) in
  let sizes = ("architecture", Json.String model.architecture) :: List.map (fun (key, n) -> (key, number n)) model.sizes @ model.described in
  let weight (name, (t : Container.tensor)) =
    [ block (Json.spelled (List [ String name; String t.dtype; List (List.map number t.shape) ])); block (Container.bytes t) ]
  in
  let sorted = List.sort (fun (a, _) (b, _) -> String.compare a b) model.weights in
  Texts.digest (String.concat "" (block "compact-proof-model-1" :: block (Json.spelled (Object sizes)) :: List.concat_map weight sorted))

(* A number e, at least some number, such that the weights of these names are z 2^-e for integers z. What is counted is 0 if it is
   too small. *)
let scale_of model least names =
  let of_tensor e (name, tensor) =
    if not (List.mem name names) then e
    else begin
      let { Counts.fraction_bits; exponent_bits; rows; columns; bits } = Container.weight tensor in
      let fraction = Z.to_int fraction_bits and exponent = Z.to_int exponent_bits in
      let needed bits =
        let field = Z.to_int (Z.extract bits fraction exponent) in
        need (field < (1 lsl exponent) - 1) "a weight is not finite";
        let mantissa = Z.add (Z.extract bits 0 fraction) (if field > 0 then Z.shift_left Z.one fraction else Z.zero) in
        if Z.equal mantissa Z.zero then least else (1 lsl (exponent - 1)) - 1 + fraction - max field 1 - Z.trailing_zeros mantissa
      in
      let most = ref e in
      for i = 0 to rows - 1 do for j = 0 to columns - 1 do most := max !most (needed (bits i j)) done done;
      !most
    end
  in
  List.fold_left of_tensor least model.weights

let scale least model = scale_of model least (List.map fst model.weights)

(* A tensor as the extracted functions take it; biases that are absent are zero. *)
let tensor model name =
  match List.assoc_opt name model.weights with
  | None -> { Counts.fraction_bits = Z.of_int 23; exponent_bits = Z.of_int 8; rows = 0; columns = 0; bits = (fun _ _ -> Z.zero) }
  | Some tensor -> Container.weight tensor
