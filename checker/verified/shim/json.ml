(* JSON as FORMAT.md allows it: no repeated key, at most 32 deep, numbers kept exactly. Strings are UTF-8. *)
open Refused

type t =
  | Null
  | Bool of bool
  | Int of Z.t
  | Decimal of Q.t
  | String of string
  | List of t list
  | Object of (string * t) list

let deepest = 32

let parse text =
  let length = String.length text and at = ref 0 in
  let peek () = if !at < length then text.[!at] else '\000' in
  let rec skip () =
    match peek () with
    | (' ' | '\t' | '\n' | '\r') when !at < length -> incr at; skip ()
    | _ -> ()
  in
  let take c = if !at < length && text.[!at] = c then incr at else malformed "not valid JSON: %C expected at %d" c !at in
  let word name value =
    let size = String.length name in
    need (!at + size <= length && String.sub text !at size = name) "not valid JSON at %d" !at;
    at := !at + size;
    value
  in
  let hex () =
    need (!at + 4 <= length) "not valid JSON: an escape is cut off";
    let digits = String.sub text !at 4 in
    String.iter (function '0' .. '9' | 'a' .. 'f' | 'A' .. 'F' -> () | _ -> malformed "not valid JSON: \\u%s" digits) digits;
    at := !at + 4;
    int_of_string ("0x" ^ digits)
  in
  let escaped buffer =
    incr at;
    let c = peek () in
    incr at;
    match c with
    | '"' | '\\' | '/' -> Buffer.add_char buffer c
    | 'b' -> Buffer.add_char buffer '\b'
    | 'f' -> Buffer.add_char buffer '\012'
    | 'n' -> Buffer.add_char buffer '\n'
    | 'r' -> Buffer.add_char buffer '\r'
    | 't' -> Buffer.add_char buffer '\t'
    | 'u' ->
        let first = hex () in
        let code =
          if first land 0xfc00 <> 0xd800 then first
          else begin
            need (!at + 1 < length && text.[!at] = '\\' && text.[!at + 1] = 'u') "a surrogate stands alone";
            at := !at + 2;
            let second = hex () in
            need (second land 0xfc00 = 0xdc00) "a surrogate stands alone";
            0x10000 + ((first land 0x3ff) lsl 10) + (second land 0x3ff)
          end
        in
        need (Uchar.is_valid code) "a surrogate stands alone";
        Buffer.add_utf_8_uchar buffer (Uchar.of_int code)
    | _ -> malformed "not valid JSON: an unknown escape"
  in
  let string () =
    take '"';
    let buffer = Buffer.create 16 in
    let rec go () =
      need (!at < length) "not valid JSON: a string does not end";
      match text.[!at] with
      | '"' -> incr at
      | '\\' -> escaped buffer; go ()
      | c when c < ' ' -> malformed "not valid JSON: a control character in a string"
      | c -> Buffer.add_char buffer c; incr at; go ()
    in
    go ();
    Buffer.contents buffer
  in
  let digits () =
    let from = !at in
    while !at < length && match text.[!at] with '0' .. '9' -> true | _ -> false do incr at done;
    need (!at > from) "not valid JSON: a digit expected at %d" from;
    String.sub text from (!at - from)
  in
  let number () =
    let minus = peek () = '-' in
    if minus then incr at;
    let whole = digits () in
    need (whole = "0" || whole.[0] <> '0') "not valid JSON: a number begins with 0";
    need (String.length whole <= 4000) "a number is too long";
    let signed z = if minus then Z.neg z else z in
    let point = peek () = '.' in
    let fraction = if point then (incr at; digits ()) else "" in
    let power = peek () = 'e' || peek () = 'E' in
    if not (point || power) then Int (signed (Z.of_string whole))
    else begin
      let exponent =
        if not power then 0
        else begin
          incr at;
          let down = peek () = '-' in
          if down || peek () = '+' then incr at;
          let size = digits () in
          need (String.length size <= 3) "a number is too long";
          if down then -int_of_string size else int_of_string size
        end
      in
      need (String.length whole <= 30 && String.length fraction <= 60) "a number is too long";
      let mantissa = signed (Z.of_string (whole ^ fraction)) and shift = exponent - String.length fraction in
      let ten n = Z.pow (Z.of_int 10) n in
      Decimal (if shift >= 0 then Q.of_bigint (Z.mul mantissa (ten shift)) else Q.make mantissa (ten (-shift)))
    end
  in
  let rec value depth =
    skip ();
    need (depth <= deepest) "JSON is nested more than %d deep" deepest;
    match peek () with
    | '"' -> String (string ())
    | '{' -> incr at; Object (members (depth + 1))
    | '[' -> incr at; List (items (depth + 1))
    | 't' -> word "true" (Bool true)
    | 'f' -> word "false" (Bool false)
    | 'n' -> word "null" Null
    | _ -> number ()
  and members depth =
    need (depth <= deepest) "JSON is nested more than %d deep" deepest;
    let known = Hashtbl.create 16 in
    let member () =
      skip ();
      let key = string () in
      need (not (Hashtbl.mem known key)) "a JSON object repeats a key";
      Hashtbl.add known key ();
      skip ();
      take ':';
      let found = value depth in
      skip ();
      (key, found)
    in
    separated '}' member
  and items depth =
    need (depth <= deepest) "JSON is nested more than %d deep" deepest;
    separated ']' (fun () -> let found = value depth in skip (); found)
  and separated : 'a. char -> (unit -> 'a) -> 'a list = fun close item ->
    skip ();
    if !at < length && text.[!at] = close then (incr at; [])
    else begin
      let rec go found =
        let found = item () :: found in
        if !at < length && text.[!at] = ',' then (incr at; go found) else (take close; List.rev found)
      in
      go []
    end
  in
  let found = value 0 in
  skip ();
  need (!at = length) "not valid JSON: something follows the value";
  found

let spelled_string text =
  let buffer = Buffer.create (String.length text + 2) in
  let unit code = Buffer.add_string buffer (Printf.sprintf "\\u%04x" code) in
  let rec go i =
    if i < String.length text then begin
      let code, size = Utf8.decode text i in
      (match Char.chr (min code 255) with
      | '"' -> Buffer.add_string buffer "\\\""
      | '\\' -> Buffer.add_string buffer "\\\\"
      | '\n' -> Buffer.add_string buffer "\\n"
      | '\r' -> Buffer.add_string buffer "\\r"
      | '\t' -> Buffer.add_string buffer "\\t"
      | '\b' -> Buffer.add_string buffer "\\b"
      | '\012' -> Buffer.add_string buffer "\\f"
      | c when code >= 32 && code < 127 -> Buffer.add_char buffer c
      | _ when code = 127 -> Buffer.add_char buffer '\127'
      | _ when code < 0x10000 -> unit code
      | _ -> unit (0xd800 + ((code - 0x10000) lsr 10)); unit (0xdc00 + ((code - 0x10000) land 0x3ff)));
      go (i + size)
    end
  in
  Buffer.add_char buffer '"';
  go 0;
  Buffer.add_char buffer '"';
  Buffer.contents buffer

(* The canonical spelling: keys sorted by code point (which is the order of UTF-8's bytes), no white space, ASCII. *)
let rec spelled = function
  | Null -> "null"
  | Bool b -> string_of_bool b
  | Int z -> Z.to_string z
  | Decimal _ -> malformed "a JSON number is not an integer"
  | String text -> spelled_string text
  | List items -> "[" ^ String.concat "," (List.map spelled items) ^ "]"
  | Object members ->
      let sorted = List.sort (fun (a, _) (b, _) -> String.compare a b) members in
      "{" ^ String.concat "," (List.map (fun (key, x) -> spelled_string key ^ ":" ^ spelled x) sorted) ^ "}"

let canonical text =
  let found = parse text in
  need (spelled found = text) "JSON is not in canonical form";
  found

let members what = function Object members -> members | _ -> malformed "%s is no JSON object" what
let text what = function String text -> text | _ -> malformed "%s is no string" what
let items what = function List items -> items | _ -> malformed "%s is no list" what

(* The values of exactly these fields. *)
let fields what names value =
  let found = members what value in
  need (List.sort compare (List.map fst found) = List.sort compare names) "%s has other fields than %s" what (String.concat ", " names);
  List.map (fun name -> List.assoc name found) names

let machine what = function
  | Int z when Z.fits_int64 z && Z.fits_int z -> Z.to_int z
  | _ -> malformed "%s is no 64-bit integer" what
