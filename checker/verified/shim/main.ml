(* compact-proofs-verified MODEL CERTIFICATE: is the certificate accepted by functions proved correct in Coq? One line of JSON.

   Exit status: 0 accepted, 1 refused, 2 malformed, 3 not covered by a theorem in Coq, or a bug. *)
open Refused

let answer status members =
  print_endline (Json.spelled (Json.Object members));
  exit status

(* Names of files may be any bytes. *)
let readable text = if Counts.read_utf8 (Texts.to_bytes text) = None then String.map (fun c -> if c < '\128' then c else '?') text else text
let refused status kind reason = answer status [ ("accepted", Json.Bool false); (kind, Json.String (readable reason)) ]

let check model_path certificate_path =
  let content = Container.read_file certificate_path in
  let certificate = Certificate.parse (Container.parse content) in
  let model = Model.parse (Container.parse (Container.read_file model_path)) in
  if Model.digest model <> certificate.model then unfounded "the certificate is about the model %s" certificate.model;
  let total, established =
    match (model.transformer, certificate.task) with
    | Some found, _ ->
        let task, total, states = Automata.task model certificate in
        ( total,
          fun format model certificate ->
            if format <> None then unsupported "executions of a transformer in floating point";
            Every_input.established model found task ~states certificate )
    | None, Automaton _ -> unsupported "automata and the architecture %s" model.architecture
    | None, _ when model.architecture = "attention-only" ->
        (Z.pow (Z.of_int (Model.size model "d_vocab")) (Model.size model "n_ctx"), Proof.established)
    | None, _ -> (Pairs.total model, Pairs.established)
  in
  if not (Z.equal total certificate.total) then unfounded "the task has %s inputs" (Z.to_string total);
  let format, certificate = Deployed.split certificate in
  let count, theorem = established format model certificate in
  if Z.lt count certificate.correct then
    unfounded "the statement claims %s correct inputs, but its proof shows %s" (Z.to_string certificate.correct) (Z.to_string count);
  answer 0
    [ ("accepted", Json.Bool true);
      ("statement", Json.Object certificate.statement);
      ("established", Json.String (Z.to_string count));
      ("theorem", Json.String theorem);
      ("axioms", Json.String Axioms.digest);
      ("certificate", Json.String (Texts.digest content)) ]

let () =
  Gc.set { (Gc.get ()) with minor_heap_size = 1 lsl 20; space_overhead = 200; max_overhead = 1_000_000 };
  match Sys.argv with
  | [| _; model; certificate |] -> (
      try check model certificate with
      | Unfounded reason -> refused 1 "refused" reason
      | Malformed reason -> refused 2 "malformed" reason
      | Unsupported what -> refused 3 "unsupported" what
      | Stack_overflow | Out_of_memory | Z.Overflow -> refused 3 "unsupported" "files of this size"
      | error -> refused 3 "unsupported" (Printexc.to_string error))
  | _ ->
      prerr_endline "usage: compact-proofs-verified MODEL CERTIFICATE";
      exit 3
