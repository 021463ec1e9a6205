(* Containers, as the rest of the shim takes them, of what the extracted functions read. *)
open Refused

type tensor = { dtype : string; shape : int list; at : int; size : int; content : string; weight : Counts.tensor option }
type file = { metadata : (string * string) list; tensors : (string * tensor) list }

let largest = 1 lsl 28

let read_file path =
  try
    let channel = open_in_bin path and found = Buffer.create 65536 in
    let rec go () = if Buffer.length found <= largest then match Buffer.add_channel found channel 65536 with () -> go () | exception End_of_file -> () in
    Fun.protect ~finally:(fun () -> close_in channel) go;
    need (Buffer.length found <= largest) "%s is larger than %d bytes" path largest;
    Buffer.contents found
  with Sys_error reason -> malformed "cannot read %s: %s" path reason

let bytes tensor = String.sub tensor.content tensor.at tensor.size
let count tensor = List.fold_left ( * ) 1 tensor.shape

let kinds =
  Counts.
    [ (BOOL, "BOOL"); (U8, "U8"); (I8, "I8"); (I16, "I16"); (I32, "I32"); (I64, "I64"); (F16, "F16"); (BF16, "BF16"); (F32, "F32"); (F64, "F64") ]

let parse content =
  let whole = Texts.bytes content in
  match Counts.read_container whole with
  | None -> malformed "not a safetensors file, or one that is cut off, has gaps, or a header that is not allowed"
  | Some found ->
      let tensor (name, (entry : Counts.entry)) =
        let at = found.body + Z.to_int entry.start and size = Z.to_int entry.stop - Z.to_int entry.start in
        let weight = Counts.weight whole found entry in
        (Json.text_of name, { dtype = List.assoc entry.kind kinds; shape = Json.map Z.to_int entry.shape; at; size; content; weight })
      in
      { metadata = Json.map (fun (key, text) -> (Json.text_of key, Json.text_of text)) found.metadata; tensors = Json.map tensor found.tensors }

(* The i-th integer of a tensor of integers: of 63 bits, and with an absolute value, so not -2^62. *)
let integer tensor =
  let { content; at; _ } = tensor in
  match tensor.dtype with
  | "U8" -> fun i -> Char.code content.[at + i]
  | "I8" -> fun i -> String.get_int8 content (at + i)
  | "I16" -> fun i -> String.get_int16_le content (at + (2 * i))
  | "I32" -> fun i -> Int32.to_int (String.get_int32_le content (at + (4 * i)))
  | "I64" ->
      fun i ->
        let found = String.get_int64_le content (at + (8 * i)) in
        let small = Int64.to_int found in
        need (Int64.equal (Int64.of_int small) found && small > min_int) "an integer is out of range";
        small
  | dtype -> malformed "expected an integer tensor, found %s" dtype

(* What the extracted functions make of a tensor of binary floating-point numbers. *)
let weight tensor =
  match tensor.weight with
  | Some weight -> weight
  | None -> malformed "weights are F16, BF16, F32 or F64, found %s" tensor.dtype
