(* Rule `prefix-classes` (FORMAT.md 5.20), checked as the format asks: an automaton of classes, and the bounds that are claimed of
   sums over the ways to a class. The extracted functions believe nothing of them. *)
open Refused

(* How many classes there are after so many steps; where a step leads from each, or -1; and what each stands for. *)
type t = { sizes : int array; target : int array array array; stands : int array array }

let leads_to { sizes; target; _ } i s t =
  if i >= Array.length target || s >= sizes.(i) then None else let led = target.(i).(s).(t) in if led < 0 then None else Some led
let stands_for { stands; _ } i s = if i >= Array.length stands || s >= Array.length stands.(i) then 0 else stands.(i).(s)

(* What regions are about: the automaton of classes. *)
let source classes automaton =
  { Finer.automaton = Counts.refined automaton (leads_to classes) (stands_for classes);
    states = Array.fold_left max 1 classes.sizes; by_state = true }

let parse (step : Certificate.step) (automaton : Counts.automaton) ~total (config : Counts.architecture) =
  let positions = config.n_ctx and vocab = config.d_vocab in
  Certificate.taken step [] [ "classes"; "sizes" ];
  for i = 0 to positions - 1 do
    if automaton.order i <> i then unfounded "prefix-classes is about tasks that read all positions from the first to the last"
  done;
  if config.n_layers = 1 || config.bidirectional || config.pad_token <> None then
    unfounded "prefix-classes is about causal transformers with several layers, without padding";
  let _, size = Certificate.hint step "sizes" [ positions ] in
  let shape, entry = Certificate.hint step "classes" [ -1; vocab ] in
  let sizes = Array.init (positions + 1) (fun i -> if i = 0 then 1 else size (i - 1)) in
  Array.iter (fun n -> need (1 <= n && n <= max 1 (shape.(0) * vocab)) "there are classes after each step") sizes;
  let rows = Array.fold_left ( + ) 0 sizes - sizes.(positions) in
  need (rows = shape.(0)) "there are as many rows as classes before the last step";
  let starts = Array.make (positions + 1) 0 in
  for i = 1 to positions do starts.(i) <- starts.(i - 1) + sizes.(i - 1) done;
  let row i s = Array.init vocab (fun t -> entry (((starts.(i) + s) * vocab) + t)) in
  let target = Array.init positions (fun i -> Array.init sizes.(i) (row i)) in
  let stands = Array.map (fun n -> Array.make n (-1)) sizes in
  stands.(0).(0) <- 0;
  let lead i s t led =
    need (-1 <= led && led < sizes.(i + 1)) "a token leads to what is no class";
    if led >= 0 then
      match automaton.transition i stands.(i).(s) t with
      | None -> unfounded "a token leads to a class where no input goes"
      | Some state ->
          let known = stands.(i + 1).(led) in
          if known >= 0 && known <> state then unfounded "a token leads to a class that does not stand for this";
          stands.(i + 1).(led) <- state
  in
  let finish i table =
    Array.iteri (fun s -> Array.iteri (lead i s)) table;
    if Array.mem (-1) stands.(i + 1) then unfounded "nothing leads to one of the classes"
  in
  Array.iteri finish target;
  let classes = { sizes; target; stands } in
  let { Finer.automaton; states; _ } = source classes automaton in
  if not (Z.equal (Automata.count automaton ~positions ~vocab ~states) total) then unfounded "some inputs are in no class";
  classes

(* Where there is one layer. *)
let none =
  { Counts.class_sizes = (fun _ -> 0); on_the_way = (fun _ _ _ _ _ -> false); arriving = (fun _ _ _ -> []);
    way_bounds = (fun _ _ _ _ _ _ -> None) }

(* Of inputs with a query at a position: which classes they may be in after so many steps, and the symbols that they have. *)
let ways classes by_state j q =
  let { sizes; target; _ } = classes in
  let vocab = Array.length target.(0).(0) in
  let symbol led t = if by_state then led else t in
  let alive = Array.init (j + 2) (fun i -> Array.make sizes.(i) false) in
  let met = Array.init (j + 1) (fun i -> Array.make (if by_state then sizes.(i + 1) else vocab) false) in
  for i = j downto 0 do
    let mark s t led =
      if led >= 0 && if i = j then symbol led t = q else alive.(i + 1).(led) then begin
        alive.(i).(s) <- true;
        if i = j then alive.(i + 1).(led) <- true;
        met.(i).(symbol led t) <- true
      end
    in
    Array.iteri (fun s -> Array.iteri (mark s)) target.(i)
  done;
  (alive, met)

let claims classes ~size =
  let { sizes; target; _ } = classes in
  let vocab = Array.length target.(0).(0) in
  let last = ref None in
  let ways by_state j q =
    match !last with
    | Some (key, found) when key = (by_state, j, q) -> found
    | _ ->
        let found = ways classes by_state j q in
        last := Some ((by_state, j, q), found);
        found
  in
  let arriving_tokens j =
    let found = Array.make sizes.(j + 1) [] in
    for t = vocab - 1 downto 0 do
      let add row = let led = row.(t) in
        if led >= 0 && not (match found.(led) with first :: _ -> first = t | [] -> false) then found.(led) <- t :: found.(led) in
      Array.iter add target.(j)
    done;
    found
  in
  let arriving_tokens = Array.mapi (fun j _ -> arriving_tokens j) target in
  let way_bounds by_state j q term =
    let alive, _ = ways by_state j q in
    let bounds = Array.map (Array.map (fun _ -> [||])) alive in
    if alive.(0).(0) then bounds.(0).(0) <- Array.make size (Z.zero, Z.zero);
    for i = 0 to j do
      let take s t led =
        if led >= 0 && alive.(i).(s) && alive.(i + 1).(led) then
          let symbol = if by_state then led else t in
          if i < j || symbol = q then
            match term symbol i with
            | Some term when Array.length bounds.(i).(s) = size ->
                let from = bounds.(i).(s) and own = bounds.(i + 1).(led) in
                let add k =
                  let low, high = from.(k) and less, more = term k in
                  let low = Z.add low less and high = Z.add high more in
                  if Array.length own = 0 then (low, high) else (Z.min low (fst own.(k)), Z.max high (snd own.(k)))
                in
                bounds.(i + 1).(led) <- Array.init size add
            | _ -> ()
      in
      Array.iteri (fun s -> Array.iteri (take s)) target.(i)
    done;
    fun i s -> if Array.length bounds.(i).(s) = 0 then None else Some (Array.get bounds.(i).(s))
  in
  { Counts.class_sizes = Array.get sizes;
    on_the_way = (fun by_state j q -> let _, met = ways by_state j q in fun i y -> i <= j && y < Array.length met.(i) && met.(i).(y));
    arriving = (fun by_state j s -> if s >= sizes.(j + 1) then [] else if by_state then [ s ] else arriving_tokens.(j).(s)); way_bounds }
