(* A transformer of one layer without norms, read at a position: what its attention sums up there, token by token;
  and by how much
   an output leads, for all that the heads may read in a box (rule regions, FORMAT.md 5.17). *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  HeadVectors Forward EveryInput.
Import ListNotations.
Open Scope R_scope.

Lemma some_same {X} (a b : X) : Some a = Some b -> b = a.
Proof. intros E. now injection E. Qed.

Definition box : Type := nat -> Z * Z.
(* Bounds, in units of 2^-k, of a sum of numbers z i, which are between bounds, times w i: twice the bounds. *)
Definition low_sum (n : nat) (b : box) (w : nat -> Z) : Z := zsum n (fun i => (fst (b i) + snd (b i)) * w i - (snd (b i) - fst
  (b i)) * Z.abs (w i))%Z.
Lemma low_sum_le n b w z u : (forall i, (i < n)%nat -> IZR (fst (b i)) <= z i * u <= IZR (snd (b i))) ->
  IZR (low_sum n b w) <= 2 * u * rsum n (fun i => z i * IZR (w i)).
Proof.
  intros H. unfold low_sum. rewrite <- rsum_IZR, <- rsum_scal. apply rsum_le. intros i Hi. specialize (H i Hi).
  rewrite minus_IZR, !mult_IZR, plus_IZR, minus_IZR, abs_IZR. set (lo := IZR (fst (b i))) in *.
  set (hi := IZR (snd (b i))) in *.
  set (v := IZR (w i)). set (y := z i * u) in *. replace (2 * u * (z i * v)) with (2 * (y * v)) by (unfold y; ring).
  unfold Rabs. destruct (Rcase_abs v).
  - assert (0 <= (hi - y) * - v) by (apply Rmult_le_pos; lra). lra.
  - assert (0 <= (y - lo) * v) by (apply Rmult_le_pos; lra). lra.
Qed.
Lemma low_sum_ge n b w z u : (forall i, (i < n)%nat -> IZR (fst (b i)) <= z i * u <= IZR (snd (b i))) ->
  2 * u * rsum n (fun i => z i * IZR (w i)) <= IZR (- low_sum n b (fun i => - w i)%Z).
Proof.
  intros H. rewrite opp_IZR. assert (L := low_sum_le n b (fun i => (- w i)%Z) z u H). cbn beta in L.
  replace (rsum n (fun i => z i * IZR (- w i))) with (- rsum n (fun i => z i * IZR (w i))) in L; [lra|].
  clear. induction n; cbn [rsum]; [ring|]. rewrite <- IHn, opp_IZR. ring.
Qed.
(* Of all columns at once, packed. *)
Definition low_sums (w spread : Z) (n O : nat) (W : nat -> nat -> Z) : box -> nat -> Z :=
  let plain := packed_product w spread n O W (fun _ => 0%Z) in
  let absolute := packed_product w spread n O (fun i o => Z.abs (W i o)) (fun _ => 0%Z) in
  fun b =>
    let s := plain (fun i => fst (b i) + snd (b i))%Z in
    let t := absolute (fun i => snd (b i) - fst (b i))%Z in
    fun o => (s o - t o)%Z.
Definition spread_of (n O : nat) (W : nat -> nat -> Z) : Z := zmax O (fun o => zsum n (fun i => Z.abs (W i o))).
Lemma low_sums_eq w n O W b o : (o < O)%nat -> low_sums w (spread_of n O W) n O W b o = low_sum n b (fun i => W i o).
Proof.
  intros L. assert (S : forall y, (y < O)%nat -> (zsum n (fun i => Z.abs (W i y)) <= spread_of n O W)%Z).
  { intros y Y. now apply (zmax_ge O (fun o => zsum n (fun i => Z.abs (W i o)))). }
  unfold low_sums. cbv zeta. rewrite !packed_product_eq; auto.
  - unfold low_sum. rewrite !Z.add_0_r. clear. induction n; cbn [zsum]; lia.
  - intros y Y. rewrite (zsum_ext n _ (fun i => Z.abs (W i y))); auto. intros; lia.
Qed.

Section OneLayer.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable at_position : nat.   (* where it is read *)
Notation P := (IZR (2 ^ p)).
Notation E2 := (IZR (2 ^ e)).
Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A). Notation G := (n_key_value_heads A).
Notation K := (n_ctx A). Notation m := (d_mlp A). Notation outs := (d_vocab_out A).
Notation B := (blocks T O).

Variable first : nat -> nat -> option spot.
Variable reference : nat -> nat -> Z.   (* of a query and a head; and any vector that values are taken relative to *)
Variable centre : nat -> Z.
Variable range : box.   (* of values less the centre: tokens with others are left out *)
Definition looks_at (j t : nat) : bool := (bidirectional A || (j <=? at_position)%nat) && negb (is_pad A t).
Definition group_of (h : nat) : nat := (h * G / H)%nat.
Notation W := (S dh).

(* What is summed up for a query q at the position and token t at position j: for each head a weight, and the weight times each
   coordinate of the value less the centre. *)
Definition zero_box : box := fun _ => (0%Z, 0%Z).
Definition head_weight (q h : nat) (sq st : spot) : option (Z * Z) :=
  let size := zsum dh (fun c => Z.abs (mid (asks sq) (h * dh + c)%nat)) in
  let '(s, r) := score_of p dh (h * dh) (group_of h) e (slopes B h) at_position (asks sq) size (own st) in
  if (s + r <=? reference q h)%Z then Some (weight_of p expo (reference q h) (s, r)) else None.
Definition in_range (st : spot) : bool :=
  let v := values (own st) in
  forallb (fun k => let m0 := (mid v (group_of (k / dh) * dh + k mod dh)%nat - centre k)%Z in
    (fst (range k) <=? m0 - err v)%Z && (m0 + err v <=? snd (range k))%Z) (seq 0 (H * dh)).
Definition term_of (q t j : nat) : option box :=
  if looks_at j t then
    match first at_position q, first j t with
    | Some sq, Some st =>
      let weights := memo1 H (fun h => head_weight q h sq st) in
      if forallb (fun h => match weights h with None => false | Some _ => true end) (seq 0 H) && in_range st then
        Some (memo1 (H * W) (fun k =>
          let h := (k / W)%nat in
          match weights h with
          | None => (0%Z, 0%Z)
          | Some (m0, r0) =>
            match (k mod W)%nat with
            | O => (m0 - r0, m0 + r0)%Z
            | S c =>
              let v := values (own st) in
              let '(m1, r1) := times p (m0, r0) (mid v (group_of h * dh + c)%nat - centre (h * dh + c)%nat, err v)%Z in
              (m1 - r1, m1 + r1)%Z
            end
          end))
      else None
    | _, _ => None
    end
  else Some zero_box.

(* What heads read, less the centre: from the sums' bounds, if all weights are positive. *)
Definition read_box (sums : box) : option box :=
  if forallb (fun h => (0 <? fst (sums (h * W)%nat))%Z) (seq 0 H) then
    Some (memo1 (H * dh) (fun k =>
      let h := (k / dh)%nat in
      let '(zl, zh) := sums (h * W)%nat in
      let '(nl, nh) := sums (h * W + S (k mod dh))%nat in
      (Z.max (fst (range k)) (Z.shiftl nl p / (if (0 <=? nl)%Z then zh else zl)),
       Z.min (snd (range k)) (cdiv (Z.shiftl nh p) (if (0 <=? nh)%Z then zl else zh)))%Z))
  else None.

(* Products of matrices after attention, in units of 2^-2e. *)
Definition W_O_flat (k i : nat) : Z := W_O B (k / dh)%nat (k mod dh)%nat i.
Record products_after := Products { to_units : box -> nat -> Z; to_units_high : box -> nat -> Z;
  read_to_outputs : nat -> box -> nat -> Z; units_to_outputs : nat -> box -> nat -> Z; biases_out : nat -> Z }.
Definition difference (M : nat -> nat -> Z) (best : nat) : nat -> nat -> Z := fun k o => (M k best - M k o)%Z.
Definition width_for (spread : Z) : Z := (p + 20 + Z.log2 spread)%Z.
Definition sums_of (n c : nat) (M : nat -> nat -> Z) : box -> nat -> Z :=
  let spread := spread_of n c M in low_sums (width_for spread) spread n c M.
Definition products_of : products_after :=
  let through_in := matrix_product (H * dh) d m W_O_flat (W_in B) in
  let through_u := matrix_product (H * dh) d outs W_O_flat (W_U T) in
  let out_u := matrix_product m d outs (W_out B) (W_U T) in
  Products (sums_of (H * dh) m through_in) (sums_of (H * dh) m (fun k n => - through_in k n)%Z)
    (memo1 outs (fun best => sums_of (H * dh) outs (difference through_u best)))
    (memo1 outs (fun best => sums_of m outs (difference out_u best)))
    (memo1 outs (fun o => zsum d (fun i => b_out B i * W_U T i o)%Z)).
(* Of a query: the residual stream if all heads read the centre, as logits and as what units read. *)
Definition base_of : nat -> option (vector * vector) :=
  let to_o := linear p e (H * dh) d W_O_flat (b_O B) in
  let to_u := linear p e d outs (W_U T) (b_U T) in
  let to_in := linear p e d m (W_in B) (b_in B) in
  fun q => match first at_position q with
           | None => None
           | Some s => let base := plus d (here s) (to_o (Vector centre 0)) in Some (to_u base, to_in base)
           end.
Variable after : products_after.
(* Whether output best leads all others, for all that heads may read in a box. *)
Definition leads_in (base : vector * vector) (best : nat) (b : box) : bool :=
  let '(logits, inner) := base in
  let unit_box : box :=
    if attn_only A then zero_box
    else
      let low := to_units after b in
      let high := to_units_high after b in
      memo1 m (fun n => (Z.max 0 (mid inner n - err inner + fshr (low n) (2 * e + 1)),
        Z.max 0 (mid inner n + err inner + cshr (- high n) (2 * e + 1)))%Z) in
  let from_read := read_to_outputs after best b in
  let from_units := if attn_only A then fun _ => 0%Z else
    let found := units_to_outputs after best unit_box in
    fun o => (found o + Z.shiftl (biases_out after best - biases_out after o) (p + 1))%Z in
  let need := Z.shiftl mn (p + 2 * e + 1) in
  forallb (fun o => (o =? best)%nat ||
    (need <? md * (Z.shiftl (mid logits best - mid logits o - 2 * err logits) (2 * e + 1) + from_read o + from_units o))%Z)
      (seq 0 outs).
(* Boxes in which it does not are cut in halves, some times. *)
Variable where_to_cut : box -> nat.
Fixpoint leads_cut (cuts : nat) (base : vector * vector) (best : nat) (b : box) : bool :=
  leads_in base best b ||
  match cuts with
  | O => false
  | S fewer =>
    let k := where_to_cut b in
    let '(lo, hi) := b k in
    let middle := ((lo + hi) / 2)%Z in
    leads_cut fewer base best (memo1 (H * dh) (fun i => if (i =? k)%nat then (lo, middle) else b i)) &&
    leads_cut fewer base best (memo1 (H * dh) (fun i => if (i =? k)%nat then (middle, hi) else b i))
  end.

(* In real numbers. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hmd : (0 < md)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis HG : (0 < G <= H)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end.
Hypothesis Hfirst : forall j t, first j t = prepare_by A e p B j (embedded A e p T j t).
Hypothesis Hafter : after = products_of.
Hypothesis Hnorm : normalization_type A = No_norm.
Hypothesis Hlayers : n_layers A = 1%nat.
Hypothesis Hmlp : attn_only A = true \/ gated_mlp A = false /\ act_fn A = Relu.
Notation RT := (map_transformer (real e) T).
Notation RB := (map_block (real e) B).
Variable x : list nat.
Hypothesis Hat : (at_position < K)%nat.
Notation r0 := (stream A RT x 0).
Notation tok j := (nth j x 0%nat).
Notation q0 := (tok at_position).

Lemma first_spot j s : (j < K)%nat -> first j (tok j) = Some s -> spot_ok A e p B r0 j s.
Proof.
  intros J F. rewrite Hfirst in F. eapply (prepare_ok A e p); eauto.
  eapply holds_ext; [|eapply constant_holds; eauto]. intros i _. cbn beta. unfold real. rewrite plus_IZR. cbn.
  unfold real, token, Rdiv. rewrite Rmult_plus_distr_r. reflexivity.
Qed.
Definition real_term (k j : nat) : R :=
  if sees A x at_position j then
    let h := (k / W)%nat in
    exp (score A RB r0 h at_position j - IZR (reference q0 h) / P) *
    match (k mod W)%nat with O => 1 | S c => value A RB r0 j (group_of h) c - IZR (centre (h * dh + c)%nat) / P end
  else 0.
Definition inside (n : nat) (b : box) (f : nat -> R) : Prop := forall k, (k < n)%nat -> IZR (fst (b k)) <= f k * P <= IZR (snd
  (b k)).

Lemma within_bounds y a : within p y (fst a) (snd a) -> IZR (fst a - snd a) <= y * P <= IZR (fst a + snd a).
Proof. intros F. apply within_iff in F. rewrite minus_IZR, plus_IZR. exact F. Qed.
Theorem term_ok j b : (j < K)%nat -> term_of q0 (tok j) j = Some b -> inside (H * W) b (fun k => real_term k j).
Proof.
  intros J. unfold term_of. assert (Sees : looks_at j (tok j) = sees A x at_position j).
  { unfold looks_at, sees, is_pad, token. now destruct (pad_token A). }
  rewrite Sees. destruct (sees A x at_position j) eqn:See.
  2:{ intros F. injection F as <-. intros k _. unfold real_term. rewrite See. cbn. lra. }
  destruct (first at_position q0) as [sq|] eqn:Fq; [|discriminate]. destruct (first j (tok j)) as [st|] eqn:Ft; [|discriminate].
  assert (Oq := first_spot _ _ Hat Fq). assert (Ot := first_spot _ _ J Ft). cbv zeta. set (weights := memo1 H _).
  destruct (forallb _ (seq 0 H)) eqn:All; [|discriminate]. destruct (in_range st); [|discriminate]. cbn [andb].
  intros F. apply some_same in F. subst b. intros k Hk. rewrite memo1_eq. cbv beta zeta.
  rewrite forallb_forall in All. set (h := (k / W)%nat). assert (Hh : (h < H)%nat) by (apply Nat.div_lt_upper_bound; lia).
  assert (Ah := All h ltac:(apply in_seq; lia)). assert (Wh : weights h = head_weight q0 h sq st) by exact (memo1_eq H (fun h
    => head_weight q0 h sq st) h).
  destruct (weights h) as [[m0 w0]|] eqn:Ew; [|discriminate]. clear Ah. unfold head_weight in Wh. cbv zeta in Wh.
  destruct Oq as (Pq & _ & Qq & _ & _ & Sn). destruct Ot as (Pt & _ & _ & Et & _ & _).
  assert (Gh : (group_of h < G)%nat) by (apply Nat.div_lt_upper_bound; [lia|nia]).
  assert (Hq : (h * dh + dh <= H * dh)%nat) by nia.
  assert (Sc := score_ok p Hp dh (h * dh) (group_of h) e (slopes B h) at_position (asks sq) He
    (fun i => query A RB r0 at_position (i / dh)%nat (i mod dh)%nat / scale A) (flat_key A e B r0) (flat_value A e B r0) (real
      e (slopes B h)) eq_refl
    G Gh (H * dh) Hq Qq (own st) Et). cbv zeta in Sc. rewrite Pt in Sc.
  destruct (score_of p dh (h * dh) (group_of h) e (slopes B h) at_position (asks sq) _ (own st)) as [s1 w1].
  destruct (Z.leb_spec (s1 + w1) (reference q0 h)) as [Le|]; [|discriminate].
  assert (Wh' : weight_of p expo (reference q0 h) (s1, w1) = (m0, w0)) by congruence. clear Wh.
  set (rs := real_score _ _ _ _ _ _ _ j) in Sc.
  assert (Wk : within p (exp (rs - IZR (reference q0 h) / P)) (fst (weight_of p expo (reference q0 h) (s1, w1))) (snd
    (weight_of p expo (reference q0 h) (s1, w1)))).
  { apply (weight_ok p Hp expo expo_ok); auto. }
  rewrite Wh' in Wk. cbn [fst snd] in Wk. unfold rs in Wk.
  assert (Real : real_score dh (h * dh) (group_of h) at_position (fun i => query A RB r0 at_position (i / dh)%nat (i mod
    dh)%nat / scale A)
    (flat_key A e B r0) (real e (slopes B h)) j = score A RB r0 h at_position j).
  { unfold real_score, score. f_equal. unfold Rdiv at 2. rewrite <- rsum_scal_r. apply rsum_ext. intros i Hi.
    unfold flat_key, group, group_of. rewrite !flat_div, !flat_mod by auto. field. auto. }
  rewrite Real in Wk. unfold real_term. rewrite See. cbv zeta. fold h. destruct (k mod W)%nat as [|c] eqn:Km.
  - rewrite Rmult_1_r. apply (within_bounds _ (m0, w0)). exact Wk.
  - assert (Hc : (c < dh)%nat) by (assert (X := Nat.mod_upper_bound k W ltac:(lia)); lia).
    destruct Et as (_ & Hv & _). rewrite Pt in Hv.
    assert (Hgc : (group_of h * dh + c < G * dh)%nat) by nia. specialize (Hv (group_of h * dh + c)%nat Hgc). cbn beta in Hv.
    unfold flat_value in Hv. rewrite flat_div, flat_mod in Hv by auto.
    set (cc := centre (h * dh + c)%nat). assert (Pp := P_pos p Hp).
    assert (Hv' : within p (value A RB r0 j (group_of h) c - IZR cc / P) (mid (values (own st)) (group_of h * dh + c)%nat - cc)
      (err (values (own st)))).
    { apply within_iff in Hv. apply within_iff. rewrite minus_IZR, Rmult_minus_distr_r.
      replace (IZR cc / P * P) with (IZR cc) by (field; lra). lra. }
    assert (Tm := times_ok p Hp _ _ (m0, w0) (_, _) Wk Hv'). fold cc.
    destruct (times p (m0, w0) (mid (values (own st)) (group_of h * dh + c)%nat - cc, err (values (own st)))%Z) as [m1 w1'].
    now apply (within_bounds _ (m1, w1')).
Qed.

(* Values less the centre are in the range. *)
Definition valued (j : nat) : Prop := sees A x at_position j = true -> forall k, (k < H * dh)%nat ->
  IZR (fst (range k)) <= (value A RB r0 j (group_of (k / dh)) (k mod dh) - IZR (centre k) / P) * P <= IZR (snd (range k)).
Lemma term_valued j b : (j < K)%nat -> term_of q0 (tok j) j = Some b -> valued j.
Proof.
  intros J. unfold term_of. assert (Sees : looks_at j (tok j) = sees A x at_position j).
  { unfold looks_at, sees, is_pad, token. now destruct (pad_token A). }
  rewrite Sees. intros F See. rewrite See in F. destruct (first at_position q0) as [sq|]; [|discriminate].
  destruct (first j (tok j)) as [st|] eqn:Ft; [|discriminate]. cbv zeta in F.
  destruct (in_range st) eqn:Rg; [|now rewrite andb_false_r in F].
  clear F. intros k Hk. unfold in_range in Rg. cbv zeta in Rg. rewrite forallb_forall in Rg.
  specialize (Rg k ltac:(apply in_seq; lia)).
  apply andb_prop in Rg as [R1 R2]. apply Z.leb_le, IZR_le in R1, R2. destruct (first_spot _ _ J Ft) as (Pt & _ & _ & Et & _ &
    _).
  destruct Et as (_ & Hv & _). rewrite Pt in Hv. set (h := (k / dh)%nat) in *.
  assert (Hh : (h < H)%nat) by (apply Nat.div_lt_upper_bound; lia).
  assert (Hc : (k mod dh < dh)%nat) by (apply Nat.mod_upper_bound; lia).
  assert (Gh : (group_of h < G)%nat) by (apply Nat.div_lt_upper_bound; [lia|nia]).
  specialize (Hv (group_of h * dh + k mod dh)%nat ltac:(nia)). cbn beta in Hv. unfold flat_value in Hv.
  rewrite flat_div, flat_mod in Hv by auto.
  apply within_iff in Hv. rewrite !minus_IZR in R1. rewrite plus_IZR, minus_IZR in R2. assert (Pp := P_pos p Hp).
  rewrite Rmult_minus_distr_r. replace (IZR (centre k) / P * P) with (IZR (centre k)) by (field; lra). lra.
Qed.

Lemma term_defined j b : (j < K)%nat -> term_of q0 (tok j) j = Some b -> sees A x at_position j = true ->
  heads_defined A RB r0 j = true.
Proof.
  intros J. unfold term_of. assert (Sees : looks_at j (tok j) = sees A x at_position j).
  { unfold looks_at, sees, is_pad, token. now destruct (pad_token A). }
  rewrite Sees. intros F See. rewrite See in F. destruct (first at_position q0) as [sq|]; [|discriminate].
  destruct (first j (tok j)) as [st|] eqn:Ft; [|discriminate]. now destruct (first_spot _ _ J Ft) as (_ & _ & _ & _ & D & _).
Qed.

(* From the sums to what heads read. *)
Definition real_sum (k : nat) : R := rsum K (real_term k).
Definition real_read (k : nat) : R := real_sum (k / dh * W + S (k mod dh))%nat / real_sum (k / dh * W)%nat.
Lemma row_div h c : (c < W)%nat -> ((h * W + c) / W = h)%nat.
Proof. apply flat_div. Qed.
Lemma row_mod h c : (c < W)%nat -> ((h * W + c) mod W = c)%nat.
Proof. apply flat_mod. Qed.
Lemma mixed_read h c : (h < H)%nat -> (c < dh)%nat -> 0 < real_sum (h * W) ->
  mixed A x RB r0 h at_position c = IZR (centre (h * dh + c)%nat) / P + real_read (h * dh + c)%nat.
Proof.
  intros Hh Hc Pos. unfold real_read. rewrite flat_div, flat_mod by auto. unfold real_sum in *.
  set (cc := IZR (centre (h * dh + c)%nat) / P).
  set (a := IZR (reference q0 h) / P). set (u l := if sees A x at_position l then exp (score A RB r0 h at_position l - a) else
    0).
  assert (Z0 : forall l, real_term (h * W) l = u l).
  { intros l. unfold real_term, u. replace (h * W)%nat with (h * W + 0)%nat by lia. rewrite row_div, row_mod by lia.
    destruct (sees _ _ _ _); auto. cbv zeta. fold a. ring. }
  assert (Z1 : forall l, real_term (h * W + S c) l = u l * value A RB r0 l (group A h) c - u l * cc).
  { intros l. unfold real_term, u. rewrite row_div, row_mod by lia. destruct (sees _ _ _ _); [|ring]. cbv zeta. fold a cc.
    unfold group_of, group. ring. }
  rewrite (rsum_ext K (real_term (h * W)) u) in * by (intros; apply Z0).
  rewrite (rsum_ext K (real_term (h * W + S c)) (fun l => u l * value A RB r0 l (group A h) c - u l * cc)) by (intros;
    apply Z1).
  rewrite rsum_minus, rsum_scal_r. unfold mixed.
  assert (Ex : existsb (sees A x at_position) (seq 0 K) = true).
  { destruct (existsb _ _) eqn:E; auto. exfalso. rewrite (rsum_ext K u (fun _ => 0)) in Pos; [rewrite rsum_0 in Pos; lra|].
    intros l Hl. unfold u. destruct (sees A x at_position l) eqn:S; auto.
    assert (N : existsb (sees A x at_position) (seq 0 K) = true); [|congruence].
    apply existsb_exists. exists l. split; auto. apply in_seq. lia. }
  rewrite Ex. assert (X := exp_pos a).
  assert (Up : forall l, weight A x RB r0 h at_position l = u l * exp a).
  { intros l. unfold weight, u. destruct (sees _ _ _ _); [|ring]. rewrite <- exp_plus. f_equal. ring. }
  rewrite (rsum_ext K (weight A x RB r0 h at_position) (fun l => u l * exp a)) by (intros; apply Up).
  rewrite (rsum_ext K (fun l => weight A x RB r0 h at_position l * value A RB r0 l (group A h) c) (fun l => u l * value A RB r0
    l (group A h) c * exp a))
    by (intros; rewrite Up; ring).
  rewrite !rsum_scal_r. field. lra.
Qed.
Lemma range_read k : (k < H * dh)%nat -> (forall j, (j < K)%nat -> valued j) -> 0 < real_sum (k / dh * W) ->
  IZR (fst (range k)) <= real_read k * P <= IZR (snd (range k)).
Proof.
  intros Hk Vd Pos. set (h := (k / dh)%nat) in *. assert (Hc : (k mod dh < dh)%nat) by (apply Nat.mod_upper_bound; lia).
  assert (Pp := P_pos p Hp).
  set (a := IZR (reference q0 h) / P). set (u l := if sees A x at_position l then exp (score A RB r0 h at_position l - a) else
    0).
  assert (U0 : forall l, 0 <= u l) by (intros l; unfold u; destruct (sees _ _ _ _); [left; apply exp_pos|lra]).
  assert (Z0 : forall l, real_term (h * W) l = u l).
  { intros l. unfold real_term, u. replace (h * W)%nat with (h * W + 0)%nat by lia. rewrite row_div, row_mod by lia.
    destruct (sees _ _ _ _); auto. cbv zeta. fold a. ring. }
  assert (Z1 : forall l, real_term (h * W + S (k mod dh)) l = u l * (value A RB r0 l (group_of h) (k mod dh) - IZR (centre (h *
    dh + k mod dh)%nat) / P)).
  { intros l. unfold real_term, u. rewrite row_div, row_mod by lia. destruct (sees _ _ _ _); [|ring]. cbv zeta. fold a.
    reflexivity. }
  assert (Kk : (h * dh + k mod dh = k)%nat) by (unfold h; rewrite (Nat.div_mod k dh) at 3 by lia; lia). rewrite Kk in Z1.
  unfold real_read. fold h. unfold real_sum in *.
  rewrite (rsum_ext K (real_term (h * W)) u) in * by (intros; apply Z0).
  rewrite (rsum_ext K (real_term (h * W + S (k mod dh))) _) by (intros; apply Z1).
  set (y l := value A RB r0 l (group_of h) (k mod dh) - IZR (centre k) / P).
  assert (B : forall l, (l < K)%nat -> IZR (fst (range k)) * u l <= u l * y l * P <= IZR (snd (range k)) * u l).
  { intros l Hl. assert (Ul := U0 l). destruct (sees A x at_position l) eqn:Se.
    - specialize (Vd l Hl Se k Hk). fold h in Vd. fold (y l) in Vd. rewrite Rmult_assoc, !(Rmult_comm (u l)).
      split; apply Rmult_le_compat_r; lra.
    - assert (Zr : u l = 0) by (unfold u; now rewrite Se). rewrite Zr. lra. }
  assert (L : IZR (fst (range k)) * rsum K u <= rsum K (fun l => u l * y l) * P) by (rewrite <- rsum_scal, <- rsum_scal_r;
    apply rsum_le; intros l Hl; now apply B).
  assert (Hg : rsum K (fun l => u l * y l) * P <= IZR (snd (range k)) * rsum K u) by (rewrite <- rsum_scal, <- rsum_scal_r;
    apply rsum_le; intros l Hl; now apply B).
  change (rsum K (fun i => u i * (value A RB r0 i (group_of h) (k mod dh) - IZR (centre k) / P))) with (rsum K (fun l => u l *
    y l)).
  split; apply Rmult_le_reg_r with (rsum K u); auto; replace (rsum K (fun l => u l * y l) / rsum K u * P * rsum K u) with (rsum
    K (fun l => u l * y l) * P) by (field; lra); auto.
Qed.
Lemma read_box_ok sums b : (forall j, (j < K)%nat -> valued j) -> inside (H * W) sums real_sum -> read_box sums = Some b ->
  inside (H * dh) b real_read /\ forall h, (h < H)%nat -> 0 < real_sum (h * W).
Proof.
  intros Vd I. unfold read_box. destruct (forallb _ (seq 0 H)) eqn:F; [|discriminate]. intros E. apply some_same in E. subst b.
  rewrite forallb_forall in F. assert (Wp := P_pos p Hp).
  assert (Pos : forall h, (h < H)%nat -> (0 < fst (sums (h * W)%nat))%Z /\ 0 < real_sum (h * W)).
  { intros h Hh. specialize (F h ltac:(apply in_seq; lia)). apply Z.ltb_lt in F. split; auto.
    assert (B := I (h * W)%nat ltac:(nia)). apply IZR_lt in F. apply Rmult_lt_reg_r with P; lra. }
  split; [|intros h Hh; now apply Pos]. intros k Hk. rewrite memo1_eq. cbv beta zeta. set (h := (k / dh)%nat).
  assert (Hh : (h < H)%nat) by (apply Nat.div_lt_upper_bound; lia).
  assert (Hc : (k mod dh < dh)%nat) by (apply Nat.mod_upper_bound; lia). destruct (Pos h Hh) as [Z0 S0].
  assert (Bz := I (h * W)%nat ltac:(nia)). assert (Bn := I (h * W + S (k mod dh))%nat ltac:(nia)).
  assert (Rg := range_read k Hk Vd S0).
  enough (Qb : let '(zl, zh) := sums (h * W)%nat in let '(nl, nh) := sums (h * W + S (k mod dh))%nat in
    IZR (Z.shiftl nl p / (if (0 <=? nl)%Z then zh else zl)) <= real_read k * P <= IZR (cdiv (Z.shiftl nh p) (if (0 <=? nh)%Z
      then zl else zh))).
  { destruct (sums (h * W)%nat) as [zl zh]. destruct (sums (h * W + S (k mod dh))%nat) as [nl nh]. cbn [fst snd].
    split; [destruct (Z.max_spec (fst (range k)) (Z.shiftl nl p / (if (0 <=? nl)%Z then zh else zl))) as [[_ ->]|[_ ->]]; lra|].
    destruct (Z.min_spec (snd (range k)) (cdiv (Z.shiftl nh p) (if (0 <=? nh)%Z then zl else zh))) as [[_ ->]|[_ ->]]; lra. }
  clear Rg. unfold real_read. fold h. destruct (sums (h * W)%nat) as [zl zh].
  destruct (sums (h * W + S (k mod dh))%nat) as [nl nh]. cbn [fst snd] in *.
  set (N := real_sum (h * W + S (k mod dh))) in *. set (Zr := real_sum (h * W)) in *. rewrite !Z.shiftl_mul_pow2 by lia.
  assert (Zl : 0 < IZR zl) by now apply IZR_lt. assert (Zh : (0 < zh)%Z) by (apply lt_IZR; lra).
  assert (Zz : IZR zl <= Zr * P <= IZR zh) by exact Bz. assert (Zp : 0 < Zr * P) by nra.
  replace (N / Zr * P) with (N * P * P / (Zr * P)) by (field; lra).
  split.
  - apply Rmult_le_reg_r with (Zr * P); auto. unfold Rdiv. rewrite (Rmult_assoc (N * P * P)), Rinv_l, Rmult_1_r by lra.
    apply Rle_trans with (IZR nl * P); [|apply Rmult_le_compat_r; lra]. destruct (Z.leb_spec 0 nl) as [L|L].
    + assert (D := div_le (nl * 2 ^ p) zh Zh). rewrite mult_IZR in D. apply IZR_le in L.
      assert (Q0 : 0 <= IZR (nl * 2 ^ p / zh)) by (apply IZR_le, Z.div_pos; [apply Z.mul_nonneg_nonneg;
        [now apply le_IZR|now apply Z.pow_nonneg]|lia]). nra.
    + assert (D := div_le (nl * 2 ^ p) zl Z0). rewrite mult_IZR in D. apply IZR_lt in L.
      assert (Q0 : IZR (nl * 2 ^ p / zl) <= 0).
      { apply Rnot_lt_le. intros Q. assert (0 < IZR (nl * 2 ^ p / zl) * IZR zl) by (apply Rmult_lt_0_compat; auto). nra. } nra.
  - apply Rmult_le_reg_r with (Zr * P); auto. unfold Rdiv. rewrite (Rmult_assoc (N * P * P)), Rinv_l, Rmult_1_r by lra.
    apply Rle_trans with (IZR nh * P); [apply Rmult_le_compat_r; lra|]. destruct (Z.leb_spec 0 nh) as [L|L].
    + assert (D := cdiv_ge (nh * 2 ^ p) zl Z0). rewrite mult_IZR in D. apply IZR_le in L.
      assert (Q0 : 0 <= IZR (cdiv (nh * 2 ^ p) zl)).
      { apply Rnot_lt_le. intros Q. assert (0 < - IZR (cdiv (nh * 2 ^ p) zl) * IZR zl) by (apply Rmult_lt_0_compat; lra). nra.
        } nra.
    + assert (D := cdiv_ge (nh * 2 ^ p) zh Zh). rewrite mult_IZR in D. apply IZR_lt in L. assert (Zh' : 0 < IZR zh) by lra.
      destruct (Rle_dec (IZR (cdiv (nh * 2 ^ p) zh)) 0) as [Q|Q]; [nra|]. nra.
Qed.

(* What follows attention. *)
Lemma pw_2e : IZR (2 ^ (2 * e + 1)) = 2 * (E2 * E2).
Proof.
  replace (2 * e + 1)%Z with (1 + (e + e))%Z by lia. rewrite !pw_add by lia. reflexivity.
Qed.
Lemma compose n k (z : nat -> R) (M : nat -> nat -> Z) (N : nat -> Z) :
  rsum n (fun i => rsum k (fun l => z l * real e (M l i)) * real e (N i)) * (E2 * E2) =
  rsum k (fun l => z l * IZR (zsum n (fun i => M l i * N i)%Z)).
Proof.
  assert (X := pw_pos e He). rewrite <- rsum_scal_r.
  rewrite (rsum_ext n _ (fun i => rsum k (fun l => z l * IZR (M l i * N i)))).
  - rewrite rsum_swap. apply rsum_ext; intros l _. rewrite rsum_scal. now rewrite rsum_IZR.
  - intros i _. rewrite <- !rsum_scal_r. apply rsum_ext; intros l _. unfold real. rewrite mult_IZR. field. lra.
Qed.
Definition centre_value (k : nat) : R := IZR (centre k) / P.
Definition base_value (i : nat) : R := r0 at_position i + rsum (H * dh) (fun k => centre_value k * real e (W_O_flat k i)) +
  real e (b_O B i).
Lemma attention_value i : (forall h, (h < H)%nat -> 0 < real_sum (h * W)) ->
  after_attention A x RB r0 at_position i = base_value i + rsum (H * dh) (fun k => real_read k * real e (W_O_flat k i)).
Proof.
  intros Pos. unfold after_attention, base_value.
  rewrite (rsum_ext H (fun h => rsum dh (fun c => mixed A x RB r0 h at_position c * Transformers.W_O RB h c i))
    (fun h => rsum dh (fun c => (centre_value (h * dh + c) + real_read (h * dh + c)) * real e (W_O_flat (h * dh + c) i)))).
  - rewrite <- (rsum_flat H dh (fun k => (centre_value k + real_read k) * real e (W_O_flat k i))).
    rewrite (rsum_ext (H * dh) _ (fun k => centre_value k * real e (W_O_flat k i) + real_read k * real e (W_O_flat k i))) by
      (intros; ring).
    rewrite rsum_plus. cbn [Transformers.b_O map_block]. ring.
  - intros h Hh. apply rsum_ext; intros c Hc. rewrite (mixed_read h c Hh Hc (Pos h Hh)). unfold centre_value, W_O_flat.
    rewrite flat_div, flat_mod by auto. reflexivity.
Qed.
Lemma norm_none Wn v i : norm A Wn v i = v i.
Proof. unfold norm. now rewrite Hnorm. Qed.
Lemma base_ok logits inner : base_of q0 = Some (logits, inner) ->
  holds p outs logits (fun o => rsum d (fun i => base_value i * real e (W_U T i o)) + real e (b_U T o)) /\
  holds p m inner (fun n => rsum d (fun i => base_value i * real e (W_in B i n)) + real e (b_in B n)).
Proof.
  unfold base_of. cbv zeta. destruct (first at_position q0) as [s|] eqn:F; [|discriminate]. intros E. apply some_same in E.
  injection E as -> ->.
  assert (S := first_spot _ _ Hat F). destruct S as (_ & R0 & _).
  assert (C : holds p (H * dh) (Vector centre 0) centre_value).
  { intros k _. cbn [mid err]. unfold within, centre_value. assert (Pp := P_pos p Hp).
    replace (IZR (centre k) / P * P - IZR (centre k)) with 0 by (field; lra).
    rewrite Rabs_R0. lra. }
  assert (Bv : holds p d (plus d (here s) (linear p e (H * dh) d W_O_flat (b_O B) (Vector centre 0))) base_value).
  { eapply holds_ext; [|apply plus_holds; [exact R0|exact (linear_holds p Hp e (H * dh) d W_O_flat (b_O B) _ _ He C)]].
    intros i _. cbn beta. unfold base_value, real. ring. }
  split; [exact (linear_holds p Hp e d outs _ _ _ _ He Bv)|exact (linear_holds p Hp e d m _ _ _ _ He Bv)].
Qed.

Lemma base_defined base : base_of q0 = Some base -> heads_defined A RB r0 at_position = true.
Proof.
  unfold base_of. cbv zeta. destruct (first at_position q0) as [s|] eqn:F; [|discriminate]. intros _.
  now destruct (first_spot _ _ Hat F) as (_ & _ & _ & _ & D & _).
Qed.

Lemma leads_in_ok base best b : base_of q0 = Some base -> (best < outs)%nat -> inside (H * dh) b real_read ->
  (forall h, (h < H)%nat -> 0 < real_sum (h * W)) -> leads_in base best b = true ->
  forall o, (o < outs)%nat -> o <> best -> logit A RT x at_position o + IZR mn / IZR md < logit A RT x at_position best.
Proof.
  intros Fb Best I Pos Ld o Ho No. destruct base as [logits inner]. destruct (base_ok _ _ Fb) as [Hl Hi].
  unfold leads_in in Ld. cbv zeta in Ld. rewrite forallb_forall in Ld. specialize (Ld o ltac:(apply in_seq; lia)).
  rewrite (proj2 (Nat.eqb_neq o best) No) in Ld. cbn [orb] in Ld. apply Z.ltb_lt in Ld.
  assert (Pp := P_pos p Hp). assert (Ep := pw_pos e He). assert (EE : 0 < E2 * E2) by nra.
  set (aa i := base_value i + rsum (H * dh) (fun k => real_read k * real e (W_O_flat k i))).
  assert (Aa : forall i, after_attention A x RB r0 at_position i = aa i) by (intros; now apply attention_value).
  (* What reads of heads add to a lead. *)
  set (rd c := rsum d (fun i => rsum (H * dh) (fun k => real_read k * real e (W_O_flat k i)) * real e (W_U T i c))).
  assert (Read : IZR (read_to_outputs after best b o) <= 2 * P * (rd best * (E2 * E2) - rd o * (E2 * E2))).
  { unfold rd. rewrite !compose, <- rsum_minus. rewrite Hafter. unfold products_of. cbn [read_to_outputs]. rewrite memo1_eq.
    unfold sums_of. cbv zeta. rewrite low_sums_eq by auto.
    eapply Rle_trans; [apply (low_sum_le (H * dh) b _ real_read P I)|]. right. f_equal. apply rsum_ext; intros k _.
    unfold difference.
    rewrite !matrix_product_eq, minus_IZR. ring. }
  set (lb c := rsum d (fun i => base_value i * real e (W_U T i c)) + real e (b_U T c)).
  assert (Base : IZR (mid logits best - mid logits o - 2 * err logits) <= (lb best - lb o) * P).
  { assert (X := Hl best Best). assert (Y := Hl o Ho). apply within_iff in X, Y. rewrite !minus_IZR, mult_IZR. unfold lb. lra. }
  assert (Need : forall rest lead, IZR rest <= 2 * P * (E2 * E2) * lead ->
    (Z.shiftl mn (p + 2 * e + 1) < md * (Z.shiftl (mid logits best - mid logits o - 2 * err logits) (2 * e + 1) +
      read_to_outputs after best b o + rest))%Z ->
    IZR mn / IZR md < (lb best - lb o) + (rd best - rd o) + lead).
  { intros rest lead Rs Lt. apply IZR_lt in Lt. rewrite !Z.shiftl_mul_pow2, !mult_IZR, !plus_IZR, mult_IZR in Lt by lia.
    replace (p + 2 * e + 1)%Z with (p + (2 * e + 1))%Z in Lt by lia. rewrite (pw_add p (2 * e + 1)) in Lt by lia.
    rewrite pw_2e in Lt.
    assert (M : 0 < IZR md) by now apply IZR_lt. set (S := (lb best - lb o) + (rd best - rd o) + lead).
    assert (Up : IZR (mid logits best - mid logits o - 2 * err logits) * (2 * (E2 * E2)) + IZR (read_to_outputs after best b o)
      + IZR rest <= 2 * P * (E2 * E2) * S).
    { unfold S. assert (IZR (mid logits best - mid logits o - 2 * err logits) * (2 * (E2 * E2)) <= (lb best - lb o) * P * (2 *
      (E2 * E2))) by (apply Rmult_le_compat_r; lra). lra. }
    apply Rmult_lt_reg_r with (IZR md * (2 * P * (E2 * E2))); [apply Rmult_lt_0_compat; nra|].
    replace (IZR mn / IZR md * (IZR md * (2 * P * (E2 * E2)))) with (IZR mn * (P * (2 * (E2 * E2)))) by (field; lra).
    eapply Rlt_le_trans; [exact Lt|]. replace (S * (IZR md * (2 * P * (E2 * E2)))) with (IZR md * (2 * P * (E2 * E2) * S)) by
      ring.
    apply Rmult_le_compat_l; lra. }
  unfold logit. rewrite Hlayers. change (stream A RT x 1 at_position) with (after_block A x RB r0 at_position).
  assert (Split : forall c, rsum d (fun i => aa i * real e (W_U T i c)) + real e (b_U T c) = lb c + rd c).
  { intros c. unfold lb, rd, aa. rewrite (rsum_ext d _ (fun i => base_value i * real e (W_U T i c) + rsum (H * dh) (fun k =>
    real_read k * real e (W_O_flat k i)) * real e (W_U T i c))) by (intros; ring).
    rewrite rsum_plus. ring. }
  cbn [Transformers.W_U Transformers.b_U map_transformer].
  destruct (attn_only A) eqn:Only.
  - assert (Lg : forall c, rsum d (fun i => norm A (ln_final RT) (after_block A x RB r0 at_position) i * real e (W_U T i c)) +
    real e (b_U T c) = lb c + rd c).
    { intros c. rewrite <- Split. f_equal. apply rsum_ext; intros i _. rewrite norm_none. unfold after_block.
      rewrite Only, Aa. reflexivity. }
    cbn [map_transformer ln_final] in Lg. rewrite !Lg. assert (N := Need 0%Z 0 ltac:(lra)). rewrite Z.add_0_r in Ld.
    rewrite Z.add_0_r in N. specialize (N Ld). lra.
  - destruct Hmlp as [C|[Ng Rl]]; [congruence|].
    set (ub := memo1 m _) in Ld. set (un n := Transformers.unit A x RB r0 at_position n).
    assert (Units : inside m ub un).
    { intros n Hn. unfold ub. rewrite memo1_eq. cbn [fst snd]. unfold un, Transformers.unit. rewrite Ng, Rl. cbn [act].
      set (u := reading A x RB r0 (Transformers.W_in RB) at_position n + Transformers.b_in RB n).
      assert (U : u = (rsum d (fun i => base_value i * real e (W_in B i n)) + real e (b_in B n))
        + rsum d (fun i => rsum (H * dh) (fun k => real_read k * real e (W_O_flat k i)) * real e (W_in B i n))).
      { unfold u, reading. cbn [Transformers.W_in Transformers.b_in map_block].
        rewrite (rsum_ext d _ (fun i => base_value i * real e (W_in B i n) + rsum (H * dh) (fun k => real_read k * real e
          (W_O_flat k i)) * real e (W_in B i n))).
        - rewrite rsum_plus. ring.
        - intros i _. rewrite norm_none, Aa. unfold aa. ring. }
      set (zi := rsum d (fun i => rsum (H * dh) (fun k => real_read k * real e (W_O_flat k i)) * real e (W_in B i n))) in *.
      assert (Cz := compose d (H * dh) real_read W_O_flat (fun i => W_in B i n)). cbv beta in Cz. fold zi in Cz.
      assert (Lo : IZR (to_units after b n) <= 2 * P * (zi * (E2 * E2))).
      { rewrite Cz, Hafter. unfold products_of. cbn [to_units]. unfold sums_of. cbv zeta. rewrite low_sums_eq by auto.
        eapply Rle_trans; [apply (low_sum_le (H * dh) b _ real_read P I)|]. right. f_equal. apply rsum_ext; intros k _.
        now rewrite matrix_product_eq. }
      assert (Hi2 : 2 * P * (zi * (E2 * E2)) <= IZR (- to_units_high after b n)).
      { rewrite Cz, Hafter. unfold products_of. cbn [to_units_high]. unfold sums_of. cbv zeta. rewrite low_sums_eq by auto.
        eapply Rle_trans; [|apply (low_sum_ge (H * dh) b (fun k => matrix_product (H * dh) d m W_O_flat (W_in B) k n) real_read
          P I)].
        right. f_equal. apply rsum_ext; intros k _. now rewrite matrix_product_eq. }
      assert (F1 := fshr_le (to_units after b n) (2 * e + 1) ltac:(lia)).
      assert (F2 := cshr_ge (- to_units_high after b n) (2 * e + 1) ltac:(lia)).
      rewrite pw_2e in F1, F2. specialize (Hi n Hn). apply within_iff in Hi.
      set (f1 := IZR (fshr (to_units after b n) (2 * e + 1))) in *. set (f2 := IZR (cshr (- to_units_high after b n) (2 * e +
        1))) in *.
      assert (G1 : f1 <= zi * P) by (apply Rmult_le_reg_r with (2 * (E2 * E2)); lra).
      assert (G2 : zi * P <= f2) by (apply Rmult_le_reg_r with (2 * (E2 * E2)); lra).
      assert (Ub : IZR (mid inner n - err inner + fshr (to_units after b n) (2 * e + 1)) <= u * P <=
                   IZR (mid inner n + err inner + cshr (- to_units_high after b n) (2 * e + 1))).
      { rewrite !plus_IZR, minus_IZR. fold f1 f2. rewrite U, Rmult_plus_distr_r. lra. }
      set (ul := (mid inner n - err inner + fshr (to_units after b n) (2 * e + 1))%Z) in *.
      set (uh := (mid inner n + err inner + cshr (- to_units_high after b n) (2 * e + 1))%Z) in *.
      assert (Mx : forall v, IZR (Z.max 0 v) = Rmax 0 (IZR v)).
      { intros v. unfold Rmax. destruct (Rle_dec 0 (IZR v)) as [Q|Q]; destruct (Z.max_spec 0 v) as [[Q1 ->]|[Q1 ->]]; auto.
        - apply le_IZR in Q. replace v with 0%Z by lia. reflexivity.
        - apply IZR_lt in Q1. lra. }
      rewrite !Mx. unfold Rmax. destruct (Rle_dec 0 u), (Rle_dec 0 (IZR ul)), (Rle_dec 0 (IZR uh)); nra. }
    set (ad c := rsum d (fun i => rsum m (fun n => un n * real e (W_out B n i)) * real e (W_U T i c)) + rsum d (fun i => real e
      (b_out B i) * real e (W_U T i c))).
    assert (Lg : forall c, rsum d (fun i => norm A (ln_final RT) (after_block A x RB r0 at_position) i * real e (W_U T i c)) +
      real e (b_U T c) = lb c + rd c + ad c).
    { intros c. rewrite <- Split. unfold ad. rewrite (rsum_ext d _ (fun i => aa i * real e (W_U T i c) + (rsum m (fun n => un n
      * real e (W_out B n i)) * real e (W_U T i c) + real e (b_out B i) * real e (W_U T i c)))).
      - rewrite !rsum_plus. ring.
      - intros i _. rewrite norm_none. unfold after_block. rewrite Only, Aa.
        cbn [Transformers.W_out Transformers.b_out map_block]. unfold un. ring. }
    cbn [map_transformer ln_final] in Lg. rewrite !Lg. set (rest := (units_to_outputs after best ub o + Z.shiftl (biases_out
      after best - biases_out after o) (p + 1))%Z) in Ld.
    enough (Rs : IZR rest <= 2 * P * (E2 * E2) * (ad best - ad o)) by (assert (N := Need rest _ Rs Ld); lra).
    unfold rest. rewrite plus_IZR, Z.shiftl_mul_pow2, mult_IZR, (pw_add p 1), minus_IZR by lia. change (IZR (2 ^ 1)) with 2.
    assert (Uu : IZR (units_to_outputs after best ub o) <= 2 * P * (rsum d (fun i => rsum m (fun n => un n * real e (W_out B n
      i)) * real e (W_U T i best)) * (E2 * E2)
        - rsum d (fun i => rsum m (fun n => un n * real e (W_out B n i)) * real e (W_U T i o)) * (E2 * E2))).
    { rewrite !compose, <- rsum_minus. rewrite Hafter. unfold products_of. cbn [units_to_outputs]. rewrite memo1_eq.
      unfold sums_of. cbv zeta. rewrite low_sums_eq by auto.
      eapply Rle_trans; [apply (low_sum_le m ub _ un P Units)|]. right. f_equal. apply rsum_ext; intros k _. unfold difference.
      rewrite !matrix_product_eq, minus_IZR. ring. }
    assert (Bo : forall c, (c < outs)%nat -> IZR (biases_out after c) = rsum d (fun i => real e (b_out B i) * real e (W_U T i
      c)) * (E2 * E2)).
    { intros c _. rewrite Hafter. unfold products_of. cbn [biases_out]. rewrite memo1_eq, <- rsum_IZR, <- rsum_scal_r.
      apply rsum_ext; intros i _.
      unfold real. rewrite mult_IZR. field. lra. }
    rewrite !Bo by auto. unfold ad. lra.
Qed.

Theorem leads_cut_ok base best : base_of q0 = Some base -> (best < outs)%nat -> (forall h, (h < H)%nat -> 0 < real_sum (h * W))
  ->
  forall cuts b, inside (H * dh) b real_read -> leads_cut cuts base best b = true ->
  forall o, (o < outs)%nat -> o <> best -> logit A RT x at_position o + IZR mn / IZR md < logit A RT x at_position best.
Proof.
  intros Fb Best Pos. induction cuts as [|cuts IH]; intros b I L; cbn [leads_cut] in L; apply orb_prop in L as [L|L];
    try discriminate;
    try exact (leads_in_ok base best b Fb Best I Pos L).
  cbv zeta in L. set (k := where_to_cut b) in *. destruct (b k) as [lo hi] eqn:Bk. apply andb_prop in L as [L1 L2].
  set (middle := ((lo + hi) / 2)%Z) in *.
  destruct (Nat.lt_ge_cases k (H * dh)) as [Lk|Lk].
  - assert (Ik := I k Lk). rewrite Bk in Ik. cbn [fst snd] in Ik. destruct (Rle_dec (real_read k * P) (IZR middle)) as [M|M].
    + refine (IH _ _ L1).
      intros i Hi. rewrite memo1_eq. destruct (Nat.eqb_spec i k) as [->|]; [cbn [fst snd]; lra|now apply I].
    + refine (IH _ _ L2).
      intros i Hi. rewrite memo1_eq. destruct (Nat.eqb_spec i k) as [->|]; [cbn [fst snd]; lra|now apply I].
  - refine (IH _ _ L1).
    intros i Hi. rewrite memo1_eq. destruct (Nat.eqb_spec i k) as [->|]; [lia|now apply I].
Qed.
End OneLayer.
