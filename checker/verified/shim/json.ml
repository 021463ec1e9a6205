(* JSON: values as the rest of the shim takes them, of what the extracted functions read and write. Strings are UTF-8. *)
open Refused

type t =
  | Null
  | Bool of bool
  | Int of Z.t
  | Decimal of Q.t
  | String of string
  | List of t list
  | Object of (string * t) list

let text_of code_points =
  let buffer = Buffer.create 16 in
  List.iter (fun code -> Buffer.add_utf_8_uchar buffer (Uchar.of_int (Z.to_int code))) code_points;
  Buffer.contents buffer

let code_points text = match Counts.read_utf8 (Texts.to_bytes text) with Some found -> found | None -> malformed "text is not UTF-8"
let map f l = List.rev (List.rev_map f l) (* of long lists, too *)

let rec of_read = function
  | Counts.Null -> Null
  | Truth b -> Bool b
  | Integer z -> Int z
  | Decimal (m, e) ->
      let power = Z.pow (Z.of_int 10) (abs (Z.to_int e)) in
      Decimal (if Z.sign e >= 0 then Q.of_bigint (Z.mul m power) else Q.make m power)
  | Text s -> String (text_of s)
  | Items l -> List (map of_read l)
  | Members l -> Object (map (fun (key, x) -> (text_of key, of_read x)) l)

(* Keys sorted by code point (which is the order of UTF-8's bytes). *)
let rec to_write = function
  | Null -> Counts.Null
  | Bool b -> Truth b
  | Int z -> Integer z
  | Decimal _ -> malformed "a JSON number is not an integer"
  | String text -> Text (code_points text)
  | List l -> Items (map to_write l)
  | Object l -> Members (map (fun (key, x) -> (code_points key, to_write x)) (List.sort (fun (a, _) (b, _) -> String.compare a b) l))

let parse text =
  match Counts.parse (Texts.to_bytes text) with
  | Some found -> of_read found
  | None -> malformed "not valid JSON, or a key is repeated, or it is nested more than 32 deep"

let canonical text =
  match Counts.read_canonical (Texts.to_bytes text) with Some found -> of_read found | None -> malformed "not valid JSON in canonical form"

let spelled value = Texts.of_bytes (Counts.spelled (to_write value))

let members what = function Object members -> members | _ -> malformed "%s is no JSON object" what
let text what = function String text -> text | _ -> malformed "%s is no string" what
let items what = function List items -> items | _ -> malformed "%s is no list" what

(* The values of exactly these fields. *)
let fields what names value =
  let found = members what value in
  need (List.sort compare (List.map fst found) = List.sort compare names) "%s has other fields than %s" what (String.concat ", " names);
  List.map (fun name -> List.assoc name found) names

let rec integral = function
  | Decimal _ -> malformed "a JSON number is not an integer"
  | List l -> List.iter integral l
  | Object l -> List.iter (fun (_, x) -> integral x) l
  | Null | Bool _ | Int _ | String _ -> ()

let machine what = function
  | Int z when Z.fits_int z && Z.to_int z > min_int -> Z.to_int z
  | _ -> malformed "%s is no 64-bit integer" what
