(* From a certificate's steps to the arguments of the extracted functions (counts.ml), and what these establish.

   What a hint claims wrongly, they do not count. So what is checked here is what FORMAT.md says of a file's form. *)
open Refused

type blocks = int -> int list list
type classes =
  | Prefix of blocks * (int -> int -> int -> (int * int) list option)
  | Groups of (blocks * (int -> int -> int -> int -> Counts.grouped option)) list (* of each step *)

(* Tables as they are, or projected ones. *)
type source = Plain | Projected of Projections.t

(* tables: where what is known of the inputs comes from, if something is. meant: inputs that are counted as far as they are right; every: all inputs are. listed: further inputs, the last one first. cells:
   those of all of them, a byte each. *)
type inputs = { tables : source option; classes : classes; every : bool; meant : int list list; listed : int list list; cells : Bytes.t }
type fact = Tables of source | Inputs of inputs

let most_listed, most_cells = (300_000, 1 lsl 27)
let yes = '\001' and no = '\000'

let precisions = [ (40, 20, 6, 14); (160, 20, 10, 30); (1200, 20, 40, 60) ]
(* Bits after the point; further ones for 1 / sqrt (d_head); how exp is computed. Nothing but what is found depends on them: the
   further rows are for what those before do not find, as where weights are very small. *)

let joint step =
  let value = List.assoc "joint" step.Certificate.parameters in
  need (value = 0 || value = 1) "joint is 0 or 1"

(* The blocks of every label: a row for all labels, or one for each. *)
let blocks_of step v outputs =
  let shape, at = Certificate.hint step "rivals" [ -1; outputs ] in
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

(* The n-th largest token, and what FORMAT.md 5.1 asks of a class of the cell (q, m, c) with a free tokens above m; the extracted
   functions count no other. *)
let label n row = List.nth (List.sort (fun a b -> compare b a) row) (n - 1)
let sum numbers = List.fold_left (fun total (_, n) -> total + n) 0 numbers

let check_class n k q m c a below above =
  let before = a + Bool.to_int (q > m) in
  if not (before < n && n <= before + c + Bool.to_int (q = m)) then unfounded "no input of the cell (%d, %d, %d) has this label" q m c;
  if c + sum below + sum above <> k - 1 || sum above <> a then unfounded "the numbers of a class do not add up to K-1"

(* The claims of all cells, each made and checked once, also of cells without inputs. *)
let tabulated v k n claim =
  if v * v * k * n > most_cells then unsupported "more than %d cells" most_cells;
  let table = Array.init (v * v * k * n) (fun at -> claim (at / (v * k * n)) (at / (k * n) mod v) (at / n mod k) (at mod n)) in
  fun q m c a -> table.((((((q * v) + m) * k) + c) * n) + a)

let cell v k q m c = (((q * v) + m) * k) + c
let cells v k owned =
  if v * v * k > most_cells then unsupported "more than %d cells" most_cells;
  Bytes.init (v * v * k) (fun at -> if owned (at / (v * k)) (at / k mod v) (at mod k) then yes else no)

let of_classes tables v k n claimed classes =
  let claims q m c = List.exists (fun a -> claimed q m c a <> None) (List.init n Fun.id) in
  Inputs { tables = Some tables; classes; every = false; meant = []; listed = []; cells = cells v k claims }

let about_the_largest n rule = if n > 1 then unfounded "%s is about the largest or smallest token only" rule

let prefix_chains step tables v outputs k n =
  about_the_largest n step.Certificate.rule;
  Certificate.taken step [ "joint" ] [ "numbers"; "rivals"; "size" ];
  joint step;
  let blocks = blocks_of step v outputs in
  let shape, number = Certificate.hint step "numbers" [ k; -1 ] in
  let r = shape.(1) in
  Prefixes.check_depth r;
  let _, size = Certificate.hint step "size" [ v; v; k; r ] in
  Prefixes.check_numbers k (k * r) number;
  let claim q m c _ =
    let at = ((((q * v) + m) * k) + c) * r in
    let sizes = List.init r (fun i -> size (at + i)) in
    let of_prefixes found = check_class n k q m c 0 found []; levels found in
    Option.map of_prefixes (Prefixes.claimed m sizes (fun i -> number ((c * r) + i)))
  in
  let claimed = tabulated v k 1 claim in
  of_classes tables v k 1 claimed (Prefix (blocks, fun q m c -> claimed q m c 0))

let group_chains step tables v outputs k n =
  Certificate.taken step [ "joint" ] [ "grouping"; "levels"; "numbers"; "rivals" ];
  joint step;
  let blocks = blocks_of step v outputs in
  let shape, level = Certificate.hint step "levels" [ -1; v ] in
  let rows = shape.(0) in
  let sides = min n 2 in
  let shape, number = Certificate.hint step "numbers" [ rows; sides; -1 ] in
  let r = shape.(2) in
  Prefixes.check_depth r;
  for i = 0 to (rows * v) - 1 do need (0 <= level i && level i <= r) "a level is not from 0 to the number of sets" done;
  Prefixes.check_numbers k (rows * sides * r) number;
  let _, grouping = Certificate.hint step "grouping" [ v; v; k; n ] in
  let claim q m c a =
    let row = grouping ((((((q * v) + m) * k) + c) * n) + a) in
    need (-1 <= row && row < rows) "there is no such grouping";
    if row < 0 then None
    else
      let level t = level ((row * v) + t) in
      let side at first last =
        let found = levels (List.init r (fun i -> (i + 1, number ((((row * sides) + at) * r) + i)))) in
        let empty (i, _) = not (List.exists (fun t -> 1 <= level t && level t <= i) (List.init (last - first) (Int.add first))) in
        if List.exists empty found then unfounded "a set without tokens has a number";
        found
      in
      let need = side 0 0 m and need_above = if sides = 1 then [] else side 1 (m + 1) v in
      check_class n k q m c a need need_above;
      Some { Counts.step = 0; level; need; need_above }
  in
  let claimed = tabulated v k n claim in
  of_classes tables v k n claimed (Groups [ (blocks, claimed) ])

let enumeration step tables v k n =
  about_the_largest n step.Certificate.rule;
  Certificate.taken step [] [ "ranges"; "skip" ];
  let _, range = Certificate.hint step "ranges" [ k + 1; 2 ] in
  for j = 0 to k do
    need (0 <= range (2 * j) && range (2 * j) < range ((2 * j) + 1) && range ((2 * j) + 1) <= v) "a range is empty, or not within the tokens"
  done;
  let shape, place = Certificate.hint step "skip" [ -1; 2 ] in
  for i = 0 to (2 * shape.(0)) - 1 do need (place i > if i > 0 then place (i - 1) else -1) "runs of skipped inputs do not increase" done;
  let whole = List.for_all (fun j -> range (2 * j) = 0 && range ((2 * j) + 1) = v) (List.init (k + 1) Fun.id) in
  let sizes = List.init k (fun j -> range ((2 * j) + 1) - range (2 * j)) in
  let within = List.fold_left (fun product n -> Z.mul product (Z.of_int n)) Z.one sizes in
  let last = if shape.(0) = 0 then 0 else place ((2 * shape.(0)) - 1) in
  if Z.lt within (Z.of_int last) then unfounded "more inputs are skipped than there are";
  let within_range j x = range (2 * j) <= x && x < range ((2 * j) + 1) in
  let cells = cells v k (fun q m _ -> within_range (k - 1) q && within_range k m) in
  if whole then Inputs { tables = Some tables; classes = Groups []; every = true; meant = []; listed = []; cells } (* those that are skipped, too *)
  else begin
    (* Those that are meant, and not skipped, one by one, the last one first. *)
    if Z.gt within (Z.of_int most_listed) then unsupported "enumeration of a part of the inputs, more than %d" most_listed;
    let skipped = Array.make (Z.to_int within) false in
    for i = 0 to shape.(0) - 1 do Array.fill skipped (place (2 * i)) (place ((2 * i) + 1) - place (2 * i)) true done;
    let meant row = within_range k (label n row) in
    let row i = fst (List.fold_right (fun (j, size) (row, rest) -> ((range (2 * j) + (rest mod size)) :: row, rest / size)) (List.mapi (fun j size -> (j, size)) sizes) ([], i)) in
    let rows = ref [] in
    Array.iteri (fun i gone -> if not gone then let found = row i in if meant found then rows := found :: !rows) skipped;
    Inputs { tables = Some tables; classes = Groups []; every = false; meant = !rows; listed = []; cells }
  end

(* By cells, then lexicographically. *)
let cell_of n row =
  let q = List.nth row (List.length row - 1) and m = label n row in
  (q, m, List.length (List.filter (Int.equal m) row) - Bool.to_int (q = m))
let ordered n row = (cell_of n row, row)

(* A class of prefixes is one of groups: a token has the first level that holds it. *)
let grouped levels =
  let rec level i t = function [] -> 0 | (s, _) :: _ when t < s -> i | _ :: rest -> level (i + 1) t rest in
  { Counts.step = 0; level = (fun t -> level 1 t levels); need = List.mapi (fun i (_, k) -> (i + 1, k)) levels; need_above = [] }
let as_groups = function
  | Groups parts -> parts
  | Prefix (blocks, claim) -> [ (blocks, fun q m c a -> if a > 0 then None else Option.map grouped (claim q m c)) ]

(* The extracted functions take one source of tables. *)
let same_tables one other =
  match (one, other) with
  | Some one, Some other when one != other -> unsupported "facts from different tables"
  | None, _ -> other
  | _ -> one

(* One block of all rivals: what low-rank-chains has. *)
let one_block outputs _ = [ List.init outputs Fun.id ]
let low_rank_chains step v outputs d k n ~biased =
  about_the_largest n step.Certificate.rule;
  let claims = Low_rank.claims step ~v ~outputs ~d ~k ~biased in
  let claimed = tabulated v k 1 (fun q m c _ -> Option.map grouped (Option.map levels (claims q m c))) in
  of_classes Plain v k 1 claimed (Groups [ (one_block outputs, claimed) ])

let disjoint_sum step v k n premises =
  Certificate.taken step [] [];
  let add sum fact =
    match (sum, fact) with
    | _, Tables _ -> malformed "disjoint-sum adds facts about inputs"
    | None, Inputs own -> Some own
    | Some one, Inputs other ->
        let tables = same_tables one.tables other.tables in
        let cells = Bytes.copy one.cells in
        let mark at owned =
          if owned = yes then begin
            if Bytes.get cells at = yes then unfounded "two premises both count inputs of a cell";
            Bytes.set cells at yes
          end
        in
        Bytes.iteri mark other.cells;
        let listed = List.sort (fun a b -> compare (ordered n b) (ordered n a)) (one.listed @ other.listed) in
        let classes = Groups (as_groups one.classes @ as_groups other.classes) in
        Some { tables; classes; every = one.every || other.every; meant = one.meant @ other.meant; listed; cells }
  in
  let none () = { tables = None; classes = Groups []; every = false; meant = []; listed = []; cells = cells v k (fun _ _ _ -> false) } in
  Inputs (match List.fold_left add None premises with Some sum -> sum | None -> none ())

let further_inputs step v k n premises =
  Certificate.taken step [] [ "inputs" ];
  match premises with
  | [ Tables tables; Inputs known ] ->
      let tables = same_tables (Some tables) known.tables in
      let shape, token = Certificate.hint step "inputs" [ -1; k ] in
      let row i = List.init k (fun j -> token ((i * k) + j)) in
      let cells = Bytes.copy known.cells in
      let add rows row =
        List.iter (fun t -> need (0 <= t && t < v) "an input has a token out of range") row;
        (match rows with last :: _ when compare (ordered n last) (ordered n row) >= 0 -> unfounded "inputs do not increase strictly, cell by cell" | _ -> ());
        let q, m, c = cell_of n row in
        Bytes.set cells (cell v k q m c) yes;
        row :: rows
      in
      let listed = List.fold_left add known.listed (List.init shape.(0) row) in
      Inputs { known with tables; listed; cells }
  | _ -> malformed "further-inputs takes two premises: tables, and a fact about inputs"

(* All inputs, one by one: for few, of which too few are found together. *)
let all_rows v k =
  if Z.gt (Z.pow (Z.of_int v) k) (Z.of_int most_listed) then None
  else
    let longer rows = List.concat_map (fun t -> List.map (List.cons t) rows) (List.init v Fun.id) in
    Some (List.fold_left (fun rows _ -> longer rows) [ [] ] (List.init k Fun.id))

(* The number of inputs that the last step establishes, and the theorem about it. format: of executions in floating point, if they are meant. *)
let established format (model : Model.t) (certificate : Certificate.t) =
  let size = Model.size model in
  let v = size "d_vocab" and outputs = size "d_vocab_out" and k = size "n_ctx" and d = size "d_model" and h = size "d_head" in
  need (outputs >= v) "the model has fewer outputs than tokens";
  let rank = match certificate.task with Smallest -> k | Nth_largest n -> n | _ -> malformed "the task is not about sequences" in
  need (rank <= k) "there is no token number %d in descending order" rank;
  let smallest = rank = k && rank > 1 in
  let n = if smallest then 1 else rank in
  let biased = List.mem_assoc "unembed.b_U" model.weights in
  let facts = Array.make (Array.length certificate.steps) (Tables Plain) in
  let apply i (step : Certificate.step) =
    let premises = List.map (Array.get facts) step.premises in
    let tables () = match premises with [ Tables source ] -> source | _ -> malformed "%s takes one premise: tables" step.rule in
    facts.(i) <-
      (match step.rule with
      | "additive-tables" -> need (premises = []) "additive-tables takes no premise"; Certificate.taken step [] []; Tables Plain
      | "projected-tables" ->
          need (premises = []) "projected-tables takes no premises";
          Tables (Projected (Projections.parse step ~v ~outputs ~d ~biased))
      | "prefix-chains" -> prefix_chains step (tables ()) v outputs k n
      | "group-chains" -> group_chains step (tables ()) v outputs k n
      | "low-rank-chains" -> need (premises = []) "low-rank-chains takes no premises"; low_rank_chains step v outputs d k n ~biased
      | "enumeration" -> enumeration step (tables ()) v k n
      | "disjoint-sum" -> disjoint_sum step v k n premises
      | "further-inputs" -> further_inputs step v k n premises
      | rule -> unsupported "rule %s" rule)
  in
  Array.iteri apply certificate.steps;
  let z = Z.of_int and w = Model.tensor model and head = "blocks.0.attn." in
  let weights =
    { Counts.tWE = w "embed.W_E"; tWP = w "pos_embed.W_pos"; tWQ = w (head ^ "W_Q"); tbQ = w (head ^ "b_Q"); tWK = w (head ^ "W_K");
      tbK = w (head ^ "b_K"); tWV = w (head ^ "W_V"); tbV = w (head ^ "b_V"); tWO = w (head ^ "W_O"); tbO = w (head ^ "b_O");
      tWU = w "unembed.W_U"; tbU = w "unembed.b_U" }
  in
  let with_weights source count (precision, digits, halvings, terms) =
    let finest = match source with Some (Projected { scale; _ }) -> scale | _ -> 0 in
    let e = Model.scale (max finest ((precision + 3) / 4)) model in
    let source = match source with Some (Projected hints) -> Some (Projections.source model e hints) | _ -> None in
    count smallest (n - 1) v outputs k d h (z e) (z precision) (z (precision + digits)) (Q.num certificate.margin) (Q.den certificate.margin)
      halvings terms weights source
  in
  let groups source parts rows =
    let parts = Array.of_list parts in
    let claim q m c a =
      let of_step s = Option.map (fun found -> { found with Counts.step = s }) (snd parts.(s) q m c a) in
      List.find_map of_step (List.init (Array.length parts) Fun.id)
    in
    let rows = List.sort compare rows in
    ( (fun precision -> with_weights source Counts.count_group_chains precision (Array.length parts) (fun s m -> fst parts.(s) m) claim rows),
      "count_group_chains_sound" )
  in
  let ways =
    match facts.(Array.length facts - 1) with
    | Tables _ -> malformed "the last step says nothing about inputs"
    | Inputs { tables = source; every = true; _ } ->
        (with_weights source Counts.count_enumeration, "count_enumeration_sound")
        :: (match all_rows v k with None -> [] | Some rows -> [ groups source [] rows ])
    | Inputs { tables = source; classes = Prefix (blocks, claim); listed; _ } ->
        let rows = List.sort compare listed in
        [ ((fun precision -> with_weights source Counts.count_prefix_chains precision blocks claim rows), "count_prefix_chains_sound") ]
    | Inputs { tables = source; classes = Groups parts; meant; listed; _ } ->
        (* The bounds of low-rank-chains take rivals one by one in some places. *)
        let apart = List.map (fun (_, claim) -> ((fun _ -> List.init outputs (fun o -> [ o ])), claim)) parts in
        let low_rank = Array.exists (fun (step : Certificate.step) -> step.rule = "low-rank-chains") certificate.steps in
        List.map (fun parts -> groups source parts (meant @ listed)) (if low_rank then [ parts; apart ] else [ parts ])
  in
  (* One after the other, until one finds as many as are stated. *)
  let rec most best = function
    | [] -> best
    | (count, theorem, precision) :: rest ->
        let found = count precision in
        let better = if Z.gt found (fst best) || Z.sign found = 0 && snd best = "" then (found, theorem) else best in
        if Z.geq found certificate.correct then better else most better rest
  in
  Deployed.established format (most (Z.zero, "") (List.concat_map (fun (count, theorem) -> List.map (fun precision -> (count, theorem, precision)) precisions) ways))
    (fun format -> Counts.in_format format smallest (n - 1) v outputs k d h (z (Model.scale 0 model)) (Q.num certificate.margin) (Q.den certificate.margin) weights)
