(* What FORMAT.md 5.1 asks of numbers of tokens per level, and of classes whose sets of tokens are prefixes. *)
open Refused

let check_depth r = need (1 <= r && r <= 4) "a class has 1 to 4 sets"
let check_numbers k count number = for i = 0 to count - 1 do need (0 <= number i && number i < k) "a number is not from 0 to K-1" done

(* The sizes of a class with the label m, each with its number; none if nothing is claimed. *)
let claimed m sizes number =
  if List.for_all (fun s -> s = -1) sizes then None
  else begin
    ignore (List.fold_left (fun least s -> need (least <= s && s <= m) "sizes do not increase from 0 to the label"; s) 0 sizes);
    let found = List.mapi (fun i s -> (s, number i)) sizes in
    if List.exists (fun (s, k) -> s = 0 && k > 0) found then unfounded "a set without tokens has a number";
    Some found
  end
