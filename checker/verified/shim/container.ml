(* The safetensors container, read as strictly as FORMAT.md 1 asks. *)
open Refused

type tensor = { dtype : string; shape : int list; at : int; size : int; content : string }
type file = { metadata : (string * string) list; tensors : (string * tensor) list }

let item_bytes = [ ("BOOL", 1); ("U8", 1); ("I8", 1); ("I16", 2); ("I32", 4); ("I64", 8); ("F16", 2); ("BF16", 2); ("F32", 4); ("F64", 8) ]
let largest = 1 lsl 28

let read_file path =
  let channel = try open_in_bin path with Sys_error reason -> malformed "cannot read %s" reason in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
      let length = in_channel_length channel in
      need (length <= largest) "%s is larger than %d bytes" path largest;
      really_input_string channel length)

let natural what = function
  | Json.Int z when Z.sign z >= 0 && Z.fits_int z -> Z.to_int z
  | _ -> malformed "%s is no natural number" what

let bytes tensor = String.sub tensor.content tensor.at tensor.size
let count tensor = List.fold_left ( * ) 1 tensor.shape

let parse content =
  let total = String.length content in
  need (total >= 8) "the file is truncated: no header length";
  let declared = String.get_int64_le content 0 in
  need (Int64.compare declared 0L >= 0 && Int64.compare declared 1048576L <= 0) "this is no safetensors file";
  let size = Int64.to_int declared in
  need (size <= total - 8) "the file is truncated: its header is longer than the file";
  let text = String.sub content 8 size in
  let header = Json.members "the header" (Json.parse text) in
  let metadata =
    match List.assoc_opt "__metadata__" header with
    | None -> []
    | Some found -> List.map (fun (key, value) -> (key, Json.text "metadata" value)) (Json.members "metadata" found)
  in
  let body = 8 + size in
  let tensor (name, value) =
    match Json.fields ("tensor " ^ name) [ "dtype"; "shape"; "data_offsets" ] value with
    | [ dtype; shape; offsets ] ->
        let dtype = Json.text "dtype" dtype in
        let shape = List.map (natural "a size") (Json.items "shape" shape) in
        let start, stop =
          match List.map (natural "an offset") (Json.items "data_offsets" offsets) with
          | [ start; stop ] -> (start, stop)
          | _ -> malformed "data_offsets of %s are not two numbers" name
        in
        need (start <= stop && stop <= total - body) "tensor %s lies outside the file" name;
        need (List.mem_assoc dtype item_bytes) "unsupported dtype %s" dtype;
        need (List.length shape <= 8) "a shape with too many dimensions";
        ignore (List.fold_left (fun product n -> let n = max n 1 in need (n <= largest / product) "a shape that is too large"; product * n) 1 shape);
        need (stop - start = List.fold_left ( * ) (List.assoc dtype item_bytes) shape) "the bytes of %s do not fit its shape" name;
        (name, { dtype; shape; at = body + start; size = stop - start; content })
    | _ -> assert false
  in
  let tensors = List.map tensor (List.remove_assoc "__metadata__" header) in
  let ends = List.sort compare (List.map (fun (name, t) -> (t.at, t.at + t.size, name)) tensors) in
  let last = List.fold_left (fun at (start, stop, name) -> need (start = at) "tensor %s overlaps another or leaves a gap" name; stop) body ends in
  need (last = total) "trailing bytes after the last tensor";
  { metadata; tensors }

(* The i-th integer of a tensor of integers. *)
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
        need (Int64.equal (Int64.of_int small) found) "an integer is out of range";
        small
  | dtype -> malformed "expected an integer tensor, found %s" dtype

(* Formats of binary floating point: how many bits the fraction has, and the exponent. *)
let formats = [ ("F16", (10, 5)); ("BF16", (7, 8)); ("F32", (23, 8)); ("F64", (52, 11)) ]

let format tensor =
  match List.assoc_opt tensor.dtype formats with
  | Some format -> format
  | None -> malformed "weights are F16, BF16, F32 or F64, found %s" tensor.dtype

(* The bits of the i-th number of such a tensor, as an integer. *)
let bits tensor =
  let fraction, exponent = format tensor in
  let width = (1 + fraction + exponent) / 8 in
  fun i -> Z.of_bits (String.sub tensor.content (tensor.at + (width * i)) width)
