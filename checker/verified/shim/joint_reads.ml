(* Rule `joint-reads` (FORMAT.md 5.17): what is claimed of several reads together. The extracted functions believe nothing of
   it. *)

let key row =
  let buffer = Buffer.create (4 * Array.length row) in
  Array.iter (fun x -> Buffer.add_int32_le buffer (Int32.of_int x)) row;
  Buffer.contents buffer

(* Numbers for rows, in the order in which they come. *)
let numbering () =
  let known = Hashtbl.create 64 and rows = ref [] in
  let number row =
    let key = key row in
    match Hashtbl.find_opt known key with
    | Some n -> n
    | None ->
        let n = Hashtbl.length known in
        Hashtbl.add known key n;
        rows := row :: !rows;
        n
  in
  (number, fun () -> Array.of_list (List.rev !rows))

let alive = Array.exists (fun x -> x >= 0)

(* Of a read: records, which tell for each query to which state the tokens so far have led, or -1; and their classes. *)
let watch (finer : Finer.t) ~positions proved =
  let { Finer.queries; steps; target; order; position; vocab; _ } = finer in
  let count = Array.length queries in
  let records = Array.make (positions + 1) [| Array.init count Fun.id |] and next = Array.make positions [||] in
  for i = 0 to positions - 1 do
    let number, found = numbering () in
    let after record t c =
      let u = record.(c) in
      if u < 0 then -1
      else if i >= steps then if order i <> position || queries.(c) = t then u else -1
      else
        let led = target i u t in
        if led >= 0 && i = steps - 1 && not (proved led) then -1 else led
    in
    next.(i) <- Array.map (fun record -> Array.init vocab (fun t -> number (Array.init count (after record t)))) records.(i);
    records.(i + 1) <- found ()
  done;
  (* Classes, backwards: -1 for records that only lead to those without any state at the end. *)
  let classes = Array.make (positions + 1) [||] and class_next = Array.make positions [||] in
  classes.(positions) <- Array.map (fun record -> if alive record then 0 else -1) records.(positions);
  for i = positions - 1 downto 0 do
    let number, found = numbering () in
    let own row = let led = Array.map (Array.get classes.(i + 1)) row in if alive led then number led else -1 in
    classes.(i) <- Array.map own next.(i);
    class_next.(i) <- found ()
  done;
  (* Without those that are dead. *)
  let kept = Array.map (fun own -> List.filter (fun k -> own.(k) >= 0) (List.init (Array.length own) Fun.id) |> Array.of_list)
    classes in
  let place = Array.map (fun own -> let last = ref (-1) in Array.map (fun c -> if c >= 0 then incr last; !last) own) classes in
  let some n = if n < 0 then None else Some n in
  { Counts.queries = count; query = Array.get queries; records = (fun i -> Array.length kept.(i));
    record_state = (fun i k c -> some records.(i).(kept.(i).(k)).(c));
    follow = (fun i k t -> place.(i + 1).(next.(i).(kept.(i).(k)).(t))); class_of = (fun i k -> classes.(i).(kept.(i).(k)));
    class_next = (fun i c t -> some class_next.(i).(c).(t)) }

(* Of all reads: the task's state and a class for each, one after the other. *)
let joint (automaton : Counts.automaton) ~positions ~vocab (watches : int -> Counts.watch) =
  let reads = Array.of_list automaton.reads in
  let count = Array.length reads in
  let due i s =
    let holds = ref true in
    Array.iteri (fun r (_, after) -> if after = i && automaton.output r s = None then holds := false) reads;
    !holds
  in
  let watches = Array.init count watches in
  let rows = Array.make (positions + 1) [| Array.make (count + 1) 0 |] and next = Array.make positions [||] in
  for i = 0 to positions - 1 do
    let number, found = numbering () in
    let after row t =
      match automaton.transition i row.(0) t with
      | Some s when due (i + 1) s ->
          let led = Array.init count (fun r -> match watches.(r).class_next i row.(r + 1) t with Some c -> c | None -> -1) in
          if Array.for_all (fun c -> c >= 0) led then Some (number (Array.append [| s |] led)) else None
      | _ -> None
    in
    next.(i) <- Array.map (fun row -> Array.init vocab (after row)) rows.(i);
    rows.(i + 1) <- found ()
  done;
  { Counts.joint_sizes = (fun i -> Array.length rows.(i)); task_state = (fun i j -> rows.(i).(j).(0));
    class_at = (fun i j r -> rows.(i).(j).(r + 1)); joint_next = (fun i j t -> next.(i).(j).(t)) }
