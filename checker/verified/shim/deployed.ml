(* Rule float-execution (FORMAT.md 5.15), of the last step or of none. *)
open Refused

let formats = Counts.[| ("float32", float32); ("float64", float64); ("tf32", tf32); ("bfloat16", bfloat16) |]

(* The format, if the last step is about executions in one, and the steps before. *)
let split (certificate : Certificate.t) =
  let last = Array.length certificate.steps - 1 in
  let step = certificate.steps.(last) in
  if Array.exists (fun (step : Certificate.step) -> step.rule = "executed-forward") certificate.steps then
    unsupported "rule executed-forward";
  if step.rule <> "float-execution" then begin
    if certificate.deployed <> None then unfounded "no step is about executions in floating point";
    (None, certificate)
  end
  else begin
    Certificate.taken step [ "format" ] [];
    (* Every step is used later, so this is the one before. *)
    need (List.length step.premises = 1) "float-execution takes one premise, about inputs";
    let number = List.assoc "format" step.parameters in
    if number < 0 || number >= Array.length formats then unfounded "there is no such format";
    let name, format = formats.(number) in
    if certificate.deployed <> Some name then unfounded "the statement does not name the format of the last step";
    (Some format, { certificate with steps = Array.sub certificate.steps 0 last })
  end

(* Of these many inputs that are right in real arithmetic, those that are right in every execution: all of them, if the margin is enough; and
   the theorem. in_format: the extracted function. *)
let established format (count, theorem) in_format =
  match format with
  | None -> (count, theorem)
  | Some format ->
      let deployed = in_format format (Z.max count Z.one) in
      if Z.sign deployed = 0 then unfounded "a number may overflow, or the margin is not twice what executions may be off";
      (Z.min count deployed, "deployed" ^ String.sub theorem 5 (String.length theorem - 5))
