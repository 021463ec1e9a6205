(* Why a file is not accepted. Malformed: FORMAT.md does not allow it. Unfounded: it proves less than it states.
   Unsupported: it may be right, but there is no theorem in Coq about what it uses. *)
exception Malformed of string
exception Unfounded of string
exception Unsupported of string

let malformed format = Printf.ksprintf (fun text -> raise (Malformed text)) format
let unfounded format = Printf.ksprintf (fun text -> raise (Unfounded text)) format
let unsupported format = Printf.ksprintf (fun text -> raise (Unsupported text)) format
let need holds format = Printf.ksprintf (fun text -> if not holds then raise (Malformed text)) format
