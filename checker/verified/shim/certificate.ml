(* Certificates of version 2: FORMAT.md 3. *)
open Refused

type step = { rule : string; premises : int list; parameters : (string * int) list; hints : (string * Container.tensor) list }
type task = Smallest | Nth_largest of int | Group of string | Table of string (* a table's digest *) | Automaton of string (* likewise *)
type t = {
  model : string;
  task : task;
  table : Container.tensor option;
  automaton : (string * Container.tensor) list;
  statement : (string * Json.t) list;
  correct : Z.t;
  total : Z.t;
  margin : Q.t;
  deployed : string option; (* a floating-point format *)
  steps : step array;
}

let all_of ok text = try String.iter (fun c -> if not (ok c) then raise Exit) text; true with Exit -> false
let is_digit c = '0' <= c && c <= '9'
let is_letter c = c = '_' || ('a' <= c && c <= 'z')
let is_name text = text <> "" && String.length text <= 40 && all_of (fun c -> c = '-' || is_letter c) text
let is_natural text = text <> "" && String.length text <= 4000 && all_of is_digit text && (text = "0" || text.[0] <> '0')

let natural what value =
  let text = Json.text what value in
  need (is_natural text) "%s is no natural number written as a decimal string" what;
  Z.of_string text

let margin = function
  | None -> Q.zero
  | Some value ->
      let text = Json.text "margin" value in
      let whole, rest = match String.index_opt text '.' with None -> (text, "") | Some i -> (String.sub text 0 i, String.sub text (i + 1) (String.length text - i - 1)) in
      let pointed = String.contains text '.' in
      let ends_well = (not pointed) || (rest <> "" && all_of is_digit rest && rest.[String.length rest - 1] <> '0' && String.length rest <= 60) in
      need (is_natural whole && String.length whole <= 20 && ends_well && text <> "0") "margin is no positive decimal number in its shortest form";
      Q.make (Z.of_string (whole ^ rest)) (Z.pow (Z.of_int 10) (String.length rest))

let deployed value =
  let name = Json.text "deployed" value in
  need (name <> "" && String.length name <= 40 && all_of (fun c -> is_digit c || ('a' <= c && c <= 'z')) name) "deployed is not the name of a format";
  name

let task = function
  | Json.Object [ ("name", Json.String "max-of-k") ] -> Nth_largest 1
  | Json.Object [ ("name", Json.String "min-of-k") ] -> Smallest
  | Json.Object [ ("n", Json.Int n); ("name", Json.String "nth-max-of-k") ] ->
      need (Z.sign n > 0 && Z.fits_int n) "n counts from 1";
      Nth_largest (Z.to_int n)
  | Json.Object [ ("modulus", Json.Int modulus); ("name", Json.String "modular-addition") ] -> Group ("cyclic:" ^ Z.to_string modulus)
  | Json.Object [ ("group", Json.String name); ("name", Json.String "group-composition") ] -> Group name
  | Json.Object [ ("name", Json.String "group-composition"); ("table", Json.String digest) ] -> Table digest
  | Json.Object [ ("automaton", Json.String digest) ] -> Automaton digest
  | other -> unsupported "task %s" (Json.spelled other)

let step i value =
  match Json.fields (Printf.sprintf "step %d" i) [ "parameters"; "premises"; "rule" ] value with
  | [ parameters; premises; rule ] ->
      let rule = Json.text "rule" rule and parameters = Json.members "parameters" parameters and premises = Json.items "premises" premises in
      need (List.length premises <= 256) "step %d has more than 256 premises" i;
      List.iter (fun name -> need (is_name name) "%s is not a name" name) (rule :: List.map fst parameters);
      let premise value =
        let number = Json.machine "a premise" value in
        need (0 <= number && number < i) "step %d builds on a step that does not come before it" i;
        number
      in
      { rule; premises = List.map premise premises; parameters = List.map (fun (name, x) -> (name, Json.machine name x)) parameters; hints = [] }
  | _ -> assert false

let parse (file : Container.file) =
  let metadata key = match List.assoc_opt key file.metadata with Some text -> text | None -> malformed "not a certificate: metadata has no %s" key in
  need (metadata "format" = "compact-proof-certificate") "not a certificate";
  need (metadata "version" = "2") "certificate version %s is not 2" (metadata "version");
  need (List.length file.metadata = 4) "metadata must be exactly format, version, statement and proof";
  let proof = Json.canonical (metadata "proof") and statement = Json.canonical (metadata "statement") in
  let steps, precision =
    match Json.fields "proof" [ "precision"; "steps" ] proof with
    | [ precision; steps ] -> (Array.of_list (List.mapi step (Json.items "steps" steps)), Json.machine "precision" precision)
    | _ -> assert false
  in
  need (1 <= Array.length steps && Array.length steps <= 256) "a proof is a list of 1 to 256 steps";
  need (12 <= precision && precision <= 256) "precision must be 12 to 256 bits";
  let used = List.concat_map (fun step -> step.premises) (Array.to_list steps) in
  Array.iteri (fun i _ -> need (i = Array.length steps - 1 || List.mem i used) "step %d is used by no later step" i) steps;
  let hint (name, tensor) =
    match String.index_opt name '.' with
    | Some at when is_natural (String.sub name 0 at) && at <= 3 ->
        let number = int_of_string (String.sub name 0 at) and hint = String.sub name (at + 1) (String.length name - at - 1) in
        need (number < Array.length steps && hint <> "" && all_of is_letter hint) "tensor %s belongs to no step" name;
        steps.(number) <- { (steps.(number)) with hints = (hint, tensor) :: steps.(number).hints }
    | _ -> malformed "tensor %s belongs to no step" name
  in
  let members = Json.members "statement" statement in
  if List.mem_assoc "mlp" members then unsupported "a statement about an MLP";
  let optional = List.filter (fun key -> List.mem_assoc key members) [ "deployed"; "margin" ] in
  match Json.fields "statement" ([ "correct"; "model"; "task"; "total" ] @ optional) statement with
  | correct :: model :: about :: total :: _ ->
      let model = Json.text "model" model in
      let is_hex c = is_digit c || ('a' <= c && c <= 'f') in
      need (String.length model = 64 && all_of is_hex model) "model is no SHA-256 in lower-case hexadecimal";
      let task = task about in
      let table = List.assoc_opt "table" file.tensors in
      let comes_with_one = match task with Table _ -> true | _ -> false in
      need (comes_with_one = (table <> None)) "there is a multiplication table if the task names its digest, and only then";
      let is_automaton = match task with Automaton _ -> true | _ -> false in
      let of_task (name, _) = List.mem name [ "order"; "outputs"; "reads"; "transitions" ] in
      let automaton, hints = List.partition of_task (List.remove_assoc "table" file.tensors) in
      need (is_automaton || automaton = []) "an automaton comes with tasks that name its digest";
      List.iter hint hints;
      { model; task; table; automaton; statement = members; correct = natural "correct" correct; total = natural "total" total; margin = margin (List.assoc_opt "margin" members);
        deployed = Option.map deployed (List.assoc_opt "deployed" members); steps }
  | _ -> assert false

(* The parameters and hints of a step are just these; and a hint of some shape (-1: any size), with its entries. *)
let taken step parameters hints =
  need (List.sort compare (List.map fst step.parameters) = parameters) "%s takes other parameters" step.rule;
  need (List.sort compare (List.map fst step.hints) = hints) "%s takes other hints" step.rule

let hint step name shape =
  let tensor = List.assoc name step.hints in
  need (List.length tensor.Container.shape = List.length shape) "hint %s has another shape" name;
  List.iter2 (fun wanted size -> need (wanted < 0 || wanted = size) "hint %s has another shape" name) shape tensor.shape;
  (Array.of_list tensor.shape, Container.integer tensor)
