(* From a certificate's steps to the arguments of the extracted functions (counts.ml), and what these establish.

   What a hint claims wrongly, they do not count. So what is checked here is what FORMAT.md says of a file's form. *)
open Refused

type fact =
  | Tables
  | Prefix of (int -> int list list) * (int -> int -> int -> (int * int) list option)
  | Groups of ((int -> int list list) * (int -> int -> int -> Counts.grouped option)) list * int list list
      (* of each step; and rows of further inputs, the last one first *)
  | Every
  | Part of int list list (* these inputs, as far as they are right *)

let most_listed = 1_000_000

let precision, digits, halvings, terms = (40, 20, 6, 14)
(* Bits after the point; further ones for 1 / sqrt (d_head); how exp is computed. Nothing but what is found depends on them. *)

let taken step parameters hints =
  need (List.sort compare (List.map fst step.Certificate.parameters) = parameters) "%s takes other parameters" step.rule;
  need (List.sort compare (List.map fst step.hints) = hints) "%s takes other hints" step.rule

let hint step name shape =
  let tensor = List.assoc name step.Certificate.hints in
  need (List.length tensor.Container.shape = List.length shape) "hint %s has another shape" name;
  List.iter2 (fun wanted size -> need (wanted < 0 || wanted = size) "hint %s has another shape" name) shape tensor.shape;
  (Array.of_list tensor.shape, Container.integer tensor)

let joint step =
  let value = List.assoc "joint" step.Certificate.parameters in
  need (value = 0 || value = 1) "joint is 0 or 1"

(* The blocks of every label: a row for all labels, or one for each. *)
let blocks_of step v outputs =
  let shape, at = hint step "rivals" [ -1; outputs ] in
  need (shape.(0) = 1 || shape.(0) = v) "there is one row of rivals for all labels, or one for each";
  let row r =
    let block = Array.init outputs (fun o -> at ((r * outputs) + o)) in
    Array.iter (fun b -> need (0 <= b && b < outputs) "a block has no number from 0 on") block;
    let members = Array.make (1 + Array.fold_left max 0 block) [] in
    for o = outputs - 1 downto 0 do members.(block.(o)) <- o :: members.(block.(o)) done;
    Array.iter (fun own -> need (own <> []) "blocks are numbered with a gap") members;
    Array.to_list members
  in
  let rows = Array.init shape.(0) row in
  fun m -> rows.(if shape.(0) = 1 then 0 else m)

let levels numbers = List.filter (fun (_, k) -> k > 0) numbers

(* What FORMAT.md 5.1 asks of a class of the cell (q, m, c), for the largest token; the extracted functions count no other. *)
let check_class k q m c numbers =
  if not (q <= m && (c > 0 || q = m)) then unfounded "no input of the cell (%d, %d, %d) has this label" q m c;
  if c + List.fold_left (fun total (_, n) -> total + n) 0 numbers <> k - 1 then unfounded "the numbers of a class do not add up to K-1"

(* The claims of all cells, each made and checked once, also of cells without inputs. *)
let tabulated v k claim =
  let table = Array.init (v * v * k) (fun at -> claim (at / (v * k)) (at / k mod v) (at mod k)) in
  fun q m c -> table.((((q * v) + m) * k) + c)

let prefix_chains step v outputs k =
  taken step [ "joint" ] [ "numbers"; "rivals"; "size" ];
  joint step;
  let blocks = blocks_of step v outputs in
  let shape, number = hint step "numbers" [ k; -1 ] in
  let r = shape.(1) in
  need (1 <= r && r <= 4) "a class has 1 to 4 sets";
  let _, size = hint step "size" [ v; v; k; r ] in
  for i = 0 to (k * r) - 1 do need (0 <= number i && number i < k) "a number is not from 0 to K-1" done;
  let claim q m c =
    let at = ((((q * v) + m) * k) + c) * r in
    let sizes = List.init r (fun i -> size (at + i)) in
    if List.for_all (fun s -> s = -1) sizes then None
    else begin
      ignore (List.fold_left (fun least s -> need (least <= s && s <= m) "sizes do not increase from 0 to the label"; s) 0 sizes);
      let found = List.mapi (fun i s -> (s, number ((c * r) + i))) sizes in
      if List.exists (fun (s, k) -> s = 0 && k > 0) found then unfounded "a set without tokens has a number";
      check_class k q m c found;
      Some (levels found)
    end
  in
  Prefix (blocks, tabulated v k claim)

let group_chains step v outputs k =
  taken step [ "joint" ] [ "grouping"; "levels"; "numbers"; "rivals" ];
  joint step;
  let blocks = blocks_of step v outputs in
  let shape, level = hint step "levels" [ -1; v ] in
  let rows = shape.(0) in
  let shape, number = hint step "numbers" [ rows; 1; -1 ] in
  let r = shape.(2) in
  need (1 <= r && r <= 4) "a class has 1 to 4 sets";
  for i = 0 to (rows * v) - 1 do need (0 <= level i && level i <= r) "a level is not from 0 to the number of sets" done;
  for i = 0 to (rows * r) - 1 do need (0 <= number i && number i < k) "a number is not from 0 to K-1" done;
  let _, grouping = hint step "grouping" [ v; v; k; 1 ] in
  let claim q m c =
    let row = grouping ((((q * v) + m) * k) + c) in
    need (-1 <= row && row < rows) "there is no such grouping";
    if row < 0 then None
    else
      let need = levels (List.init r (fun i -> (i + 1, number ((row * r) + i)))) and level t = level ((row * v) + t) in
      let empty (i, _) = not (List.exists (fun t -> 1 <= level t && level t <= i) (List.init m Fun.id)) in
      if List.exists empty need then unfounded "a set without tokens has a number";
      check_class k q m c need;
      Some { Counts.step = 0; level; need }
  in
  Groups ([ (blocks, tabulated v k claim) ], [])

let enumeration step v k =
  taken step [] [ "ranges"; "skip" ];
  let _, range = hint step "ranges" [ k + 1; 2 ] in
  for j = 0 to k do
    need (0 <= range (2 * j) && range (2 * j) < range ((2 * j) + 1) && range ((2 * j) + 1) <= v) "a range is empty, or not within the tokens"
  done;
  let shape, place = hint step "skip" [ -1; 2 ] in
  for i = 0 to (2 * shape.(0)) - 1 do need (place i > if i > 0 then place (i - 1) else -1) "runs of skipped inputs do not increase" done;
  let whole = List.for_all (fun j -> range (2 * j) = 0 && range ((2 * j) + 1) = v) (List.init (k + 1) Fun.id) in
  let sizes = List.init k (fun j -> range ((2 * j) + 1) - range (2 * j)) in
  let within = List.fold_left (fun product n -> Z.mul product (Z.of_int n)) Z.one sizes in
  let last = if shape.(0) = 0 then 0 else place ((2 * shape.(0)) - 1) in
  if Z.lt within (Z.of_int last) then unfounded "more inputs are skipped than there are";
  if whole then Every
  else begin
    (* Those that are meant, and not skipped, one by one, the last one first. *)
    if Z.gt within (Z.of_int most_listed) then unsupported "enumeration of a part of the inputs, more than %d" most_listed;
    let skipped = Array.make (Z.to_int within) false in
    for i = 0 to shape.(0) - 1 do Array.fill skipped (place (2 * i)) (place ((2 * i) + 1) - place (2 * i)) true done;
    let meant row = let m = List.fold_left max 0 row in range (2 * k) <= m && m < range ((2 * k) + 1) in
    let row i = fst (List.fold_right (fun (j, size) (row, rest) -> ((range (2 * j) + (rest mod size)) :: row, rest / size)) (List.mapi (fun j size -> (j, size)) sizes) ([], i)) in
    let rows = ref [] in
    Array.iteri (fun i gone -> if not gone then let found = row i in if meant found then rows := found :: !rows) skipped;
    Part !rows
  end

let renumbered index = function None -> None | Some grouped -> Some { grouped with Counts.step = index }

let disjoint_sum step premises =
  taken step [] [];
  match premises with
  | [ ((Prefix _ | Every | Part _) as fact) ] -> fact
  | _ ->
      let parts = function
        | Groups (parts, []) -> parts
        | Tables -> malformed "disjoint-sum adds facts about inputs"
        | _ -> unsupported "a sum of other facts than those of group-chains"
      in
      Groups (List.concat_map parts premises, [])

(* By cells, then lexicographically. *)
let ordered row =
  let q = List.nth row (List.length row - 1) and m = List.fold_left max 0 row in
  let copies = List.length (List.filter (Int.equal m) row) - if q = m then 1 else 0 in
  q :: m :: copies :: row

let further_inputs step v k premises =
  taken step [] [ "inputs" ];
  match premises with
  | [ Tables; Groups (parts, before) ] ->
      let shape, token = hint step "inputs" [ -1; k ] in
      let row i = List.init k (fun j -> token ((i * k) + j)) in
      let add rows row =
        List.iter (fun t -> need (0 <= t && t < v) "an input has a token out of range") row;
        (match rows with last :: _ when compare (ordered last) (ordered row) >= 0 -> unfounded "inputs do not increase strictly, cell by cell" | _ -> ());
        row :: rows
      in
      Groups (parts, List.fold_left add before (List.init shape.(0) row))
  | [ Tables; _ ] -> unsupported "inputs beside other facts than those of group-chains"
  | _ -> malformed "further-inputs takes two premises: tables, and a fact about inputs"

(* The number of inputs that the last step establishes, and the theorem about it. *)
let established (model : Model.t) (certificate : Certificate.t) =
  let size = Model.size model in
  let v = size "d_vocab" and outputs = size "d_vocab_out" and k = size "n_ctx" and d = size "d_model" and h = size "d_head" in
  need (outputs >= v) "the model has fewer outputs than tokens";
  let facts = Array.make (Array.length certificate.steps) Tables in
  let apply i (step : Certificate.step) =
    let premises = List.map (Array.get facts) step.premises in
    let from_tables () = need (premises = [ Tables ]) "%s takes one premise: tables" step.rule in
    facts.(i) <-
      (match step.rule with
      | "additive-tables" -> need (premises = []) "additive-tables takes no premise"; taken step [] []; Tables
      | "prefix-chains" -> from_tables (); prefix_chains step v outputs k
      | "group-chains" -> from_tables (); group_chains step v outputs k
      | "enumeration" -> from_tables (); enumeration step v k
      | "disjoint-sum" -> disjoint_sum step premises
      | "further-inputs" -> further_inputs step v k premises
      | rule -> unsupported "rule %s" rule)
  in
  Array.iteri apply certificate.steps;
  let e, integers = Model.integers ((precision + 3) / 4) model in
  let matrix name columns = let numbers = List.assoc name integers in fun i j -> numbers.((i * columns) + j) in
  let vector name = match List.assoc_opt name integers with Some numbers -> Array.get numbers | None -> fun _ -> Z.zero in
  let z = Z.of_int and head = "blocks.0.attn." in
  let with_weights count =
    count certificate.smallest v outputs k d h (z e) (z precision) (z (precision + digits)) (Q.num certificate.margin) (Q.den certificate.margin)
      halvings terms (matrix "embed.W_E" d) (matrix "pos_embed.W_pos" d) (matrix (head ^ "W_Q") h) (matrix (head ^ "W_K") h)
      (matrix (head ^ "W_V") h) (matrix (head ^ "W_O") d) (matrix "unembed.W_U" outputs) (vector (head ^ "b_Q")) (vector (head ^ "b_V"))
      (vector (head ^ "b_O")) (vector "unembed.b_U")
  in
  let by_groups steps blocks claim rows =
    (with_weights Counts.count_group_chains steps blocks claim (List.sort compare rows), "count_group_chains_sound")
  in
  match facts.(Array.length facts - 1) with
  | Tables -> malformed "the last step says nothing about inputs"
  | Every -> (with_weights Counts.count_enumeration, "count_enumeration_sound")
  | Prefix (blocks, claim) -> (with_weights Counts.count_prefix_chains blocks claim, "count_prefix_chains_sound")
  | Part rows -> by_groups 0 (fun _ _ -> []) (fun _ _ _ -> None) rows
  | Groups (parts, rows) ->
      let parts = Array.of_list parts in
      let claim q m c =
        let claimed = List.filter_map (fun s -> renumbered s (snd parts.(s) q m c)) (List.init (Array.length parts) Fun.id) in
        match claimed with [] -> None | [ one ] -> Some one | _ -> malformed "two premises both count inputs of the cell (%d, %d, %d)" q m c
      in
      by_groups (Array.length parts) (fun s m -> fst parts.(s) m) claim rows
