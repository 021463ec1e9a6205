(* Rule `regions` (FORMAT.md 5.17): what is claimed of a read. The extracted functions believe nothing of it. *)
open Refused

(* by_potentials: if it is proved by rule potentials. *)
type claim = { number : int; finer : Finer.t; of_read : Counts.read_claim; by_potentials : Counts.potentials_claim option }

let largest_scale, most_cuts = (1 lsl 20, 64)

let parse (step : Certificate.step) source (config : Counts.architecture) =
  Certificate.taken step [ "cuts"; "read" ] [ "finer"; "queries"; "scale"; "sizes" ];
  let width = config.n_heads * config.d_head in
  if (config.n_layers > 1) <> source.Finer.by_state then
    unfounded "regions is about the last layer: of several, it takes what prefix-classes says as its premise";
  if config.normalization_type <> Counts.No_norm && Z.sign (fst config.eps0) = 0 then
    unsupported "regions of a transformer whose norms have eps 0";
  let cuts = List.assoc "cuts" step.parameters in
  let finer = Finer.parse step source config in
  let shape, at = Certificate.hint step "scale" [ -1 ] in
  let scale = Array.init shape.(0) at in
  need (0 <= cuts && cuts <= most_cuts) "there are 0 to %d cuts" most_cuts;
  need (Array.length scale = width && Array.for_all (fun z -> 1 <= z && z <= largest_scale) scale) "there are %d scales" width;
  let size = config.n_heads * (config.d_head + 1) in
  let cut_at box =
    let widest = ref 0 and most = ref Z.minus_one in
    for k = 0 to width - 1 do
      let lo, hi = box k in
      let wide = Z.mul (Z.sub hi lo) (Z.of_int scale.(k)) in
      if Z.gt wide !most then (most := wide; widest := k)
    done;
    !widest
  in
  { number = finer.number; finer; by_potentials = None;
    of_read = { Counts.query_starts = Finer.number_of finer; present = Finer.present finer; with_query = Finer.with_query finer;
      most_cuts = cuts; cut_at; finer_of = Finer.bounded finer ~size } }
