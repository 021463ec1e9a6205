(* A layer of a transformer, read at a position: what its attention sums up there, symbol by symbol, and from these sums bounds
   of what heads read (rule regions, FORMAT.md 5.17). A symbol stands for the token at a position: itself, in the first layer, or
   a class of the tokens up to there. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential MatrixProduct Vectors Attention Transformers
  HeadVectors Forward EveryInput
  Boxes.
Import ListNotations.
Open Scope R_scope.

Lemma some_same {X} (a b : X) : Some a = Some b -> b = a.
Proof. intros E. now injection E. Qed.

Lemma rsum_pos n (u : nat -> R) l : (forall k, 0 <= u k) -> (l < n)%nat -> 0 < u l -> 0 < rsum n u.
Proof.
  intros U L Pos. induction n as [|n IH]; [lia|]. cbn [rsum]. destruct (Nat.eq_dec l n) as [->|N].
  - assert (0 <= rsum n u) by (rewrite <- (rsum_0 n); apply rsum_le; auto). lra.
  - specialize (IH ltac:(lia)). specialize (U n). lra.
Qed.

(* An exponential of a score, relative to a reference that is no less: from one value if the error is small, else from both ends. *)
Section Weights.
Variable p : Z.
Variable expo : Z -> Z * Z.
Notation P := (IZR (2 ^ p)).
Definition weight_between (reference : Z) (score : Z * Z) : Z * Z :=
  let '(s, r) := score in
  if (Z.shiftl r 4 <=? Z.shiftl 1 p)%Z then weight_of p expo reference score
  else
    let low := fst (expo (reference - (s - r))%Z) in
    let high := snd (expo (reference - (s + r))%Z) in
    let middle := ((low + high) / 2)%Z in (middle, high - middle)%Z.
Hypothesis Hp : (0 <= p)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
Lemma weight_between_ok x reference s r : within p x s r -> (s + r <= reference)%Z ->
  let found := weight_between reference (s, r) in within p (exp (x - IZR reference / P)) (fst found) (snd found).
Proof.
  intros X L. cbv zeta. unfold weight_between. destruct (Z.shiftl r 4 <=? Z.shiftl 1 p)%Z; [now apply weight_ok|].
  cbn [fst snd]. assert (W := P_pos p Hp). assert (N := err_nonneg p _ _ _ X). apply (le_IZR 0) in N. apply within_iff in X.
  assert (E1 := expo_ok (reference - (s - r)) ltac:(lia)). assert (E2 := expo_ok (reference - (s + r)) ltac:(lia)).
  set (low := fst (expo (reference - (s - r))%Z)) in *. set (high := snd (expo (reference - (s + r))%Z)) in *.
  assert (Mono : forall a b, a <= b -> exp a <= exp b).
  { intros a b [Lt| ->]; [left; now apply exp_increasing|right; reflexivity]. }
  assert (Below : forall y, IZR y <= (IZR reference / P - x) * P -> exp (x - IZR reference / P) <= exp (- (IZR y / P))).
  { intros y Hy. apply Mono. apply Rmult_le_reg_r with P; auto. replace (- (IZR y / P) * P) with (- IZR y) by (field; lra). lra. }
  assert (Above : forall y, (IZR reference / P - x) * P <= IZR y -> exp (- (IZR y / P)) <= exp (x - IZR reference / P)).
  { intros y Hy. apply Mono. apply Rmult_le_reg_r with P; auto. replace (- (IZR y / P) * P) with (- IZR y) by (field; lra). lra. }
  assert (Eq : (IZR reference / P - x) * P = IZR reference - x * P) by (field; lra).
  specialize (Below (reference - (s + r))%Z). specialize (Above (reference - (s - r))%Z). rewrite Eq in *.
  rewrite minus_IZR, plus_IZR in Below. rewrite !minus_IZR in Above. specialize (Below ltac:(lra)). specialize (Above ltac:(lra)).
  rewrite <- plus_IZR, <- minus_IZR in Below. rewrite <- !minus_IZR in Above.
  assert (Lo : IZR low <= exp (x - IZR reference / P) * P) by nra. assert (Hi : exp (x - IZR reference / P) * P <= IZR high) by nra.
  assert (D := Z.div_mod (low + high) 2 ltac:(lia)). assert (M := Z.mod_pos_bound (low + high) 2 ltac:(lia)).
  set (middle := ((low + high) / 2)%Z) in *.
  apply within_iff. rewrite minus_IZR. assert (Q : (middle - (high - middle) <= low)%Z) by lia. apply IZR_le in Q.
  rewrite !minus_IZR in Q. lra.
Qed.
End Weights.

Section OneLayer.
Variable A : architecture.
Variables e p : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable layer : nat.
Variable at_position : nat.   (* where it is read *)
Notation P := (IZR (2 ^ p)).
Notation E2 := (IZR (2 ^ e)).
Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A). Notation G := (n_key_value_heads A).
Notation K := (n_ctx A).
Notation B := (blocks T layer).
Notation inside := (inside p).

Variable first : nat -> nat -> option spot.
Variable reference : nat -> nat -> Z.   (* of a query and a head; and any vector that values are taken relative to *)
Variable centre : nat -> Z.
Variable range : box.   (* of values less the centre: symbols with others are left out *)
Definition looks_at (j t : nat) : bool := (bidirectional A || (j <=? at_position)%nat) && negb (is_pad A t).
Definition group_of (h : nat) : nat := (h * G / H)%nat.
Notation W := (S dh).

(* What is summed up for a query q at the position and symbol t at position j: for each head a weight, and the weight times each
   coordinate of the value less the centre. *)
Definition head_weight (q h : nat) (sq st : spot) : option (Z * Z) :=
  let size := zsum dh (fun c => Z.abs (mid (asks sq) (h * dh + c)%nat)) in
  let '(s, r) := score_of p dh (h * dh) (group_of h) e (slopes B h) at_position (asks sq) size (own st) in
  if (s + r <=? reference q h)%Z then Some (weight_between p expo (reference q h) (s, r)) else None.
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

(* What heads write, as one matrix. *)
Definition W_O_flat (k i : nat) : Z := W_O B (k / dh)%nat (k mod dh)%nat i.

(* In real numbers. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis HG : (0 < G <= H)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end.
Notation RT := (map_transformer (real e) T).
Notation RB := (map_block (real e) B).
Variable x : list nat.
Hypothesis Hat : (at_position < K)%nat.
Notation r0 := (stream A RT x layer).
Variable sym : nat -> nat.   (* the symbol at a position *)
Hypothesis Pads : forall j, is_pad A (sym j) = is_pad A (token x j).
Definition matters (j : nat) : Prop := (j < K)%nat /\ (sees A x at_position j = true \/ j = at_position).
Hypothesis Spot : forall j s, matters j -> first j (sym j) = Some s -> spot_ok A e p B r0 j s.
Notation q0 := (sym at_position).
Lemma looks_sees j : looks_at j (sym j) = sees A x at_position j.
Proof. unfold looks_at. rewrite Pads. unfold sees, is_pad. now destruct (pad_token A). Qed.

Definition real_term (k j : nat) : R :=
  if sees A x at_position j then
    let h := (k / W)%nat in
    exp (score A RB r0 h at_position j - IZR (reference q0 h) / P) *
    match (k mod W)%nat with O => 1 | S c => value A RB r0 j (group_of h) c - IZR (centre (h * dh + c)%nat) / P end
  else 0.
Theorem term_ok j b : (j < K)%nat -> term_of q0 (sym j) j = Some b -> inside (H * W) b (fun k => real_term k j).
Proof.
  intros J. unfold term_of. rewrite looks_sees. destruct (sees A x at_position j) eqn:See.
  2:{ intros F. injection F as <-. intros k _. unfold real_term. rewrite See. cbn. lra. }
  destruct (first at_position q0) as [sq|] eqn:Fq; [|discriminate]. destruct (first j (sym j)) as [st|] eqn:Ft; [|discriminate].
  assert (Oq := Spot _ _ (conj Hat (or_intror eq_refl)) Fq).
  assert (Ot := Spot _ _ (conj J (or_introl See)) Ft). cbv zeta. set (weights := memo1 H _).
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
  assert (Wh' : weight_between p expo (reference q0 h) (s1, w1) = (m0, w0)) by congruence. clear Wh.
  set (rs := real_score _ _ _ _ _ _ _ j) in Sc.
  assert (Wk : within p (exp (rs - IZR (reference q0 h) / P)) (fst (weight_between p expo (reference q0 h) (s1, w1))) (snd
    (weight_between p expo (reference q0 h) (s1, w1)))).
  { apply (weight_between_ok p expo Hp expo_ok); auto. }
  rewrite Wh' in Wk. cbn [fst snd] in Wk. unfold rs in Wk.
  assert (Real : real_score dh (h * dh) (group_of h) at_position (fun i => query A RB r0 at_position (i / dh)%nat (i mod
    dh)%nat / scale A)
    (flat_key A e B r0) (real e (slopes B h)) j = score A RB r0 h at_position j).
  { unfold real_score, score. f_equal. unfold Rdiv at 2. rewrite <- rsum_scal_r. apply rsum_ext. intros i Hi.
    unfold flat_key, group, group_of. rewrite !flat_div, !flat_mod by auto. field. auto. }
  rewrite Real in Wk. unfold real_term. rewrite See. cbv zeta. fold h. destruct (k mod W)%nat as [|c] eqn:Km.
  - rewrite Rmult_1_r. apply (within_bounds p _ (m0, w0)). exact Wk.
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
    now apply (within_bounds p _ (m1, w1')).
Qed.

(* Values less the centre are in the range. *)
Definition valued (j : nat) : Prop := sees A x at_position j = true -> forall k, (k < H * dh)%nat ->
  IZR (fst (range k)) <= (value A RB r0 j (group_of (k / dh)) (k mod dh) - IZR (centre k) / P) * P <= IZR (snd (range k)).
Lemma term_valued j b : (j < K)%nat -> term_of q0 (sym j) j = Some b -> valued j.
Proof.
  intros J. unfold term_of. rewrite looks_sees. intros F See. rewrite See in F. destruct (first at_position q0) as [sq|]; [|discriminate].
  destruct (first j (sym j)) as [st|] eqn:Ft; [|discriminate]. cbv zeta in F.
  destruct (in_range st) eqn:Rg; [|now rewrite andb_false_r in F].
  clear F. intros k Hk. unfold in_range in Rg. cbv zeta in Rg. rewrite forallb_forall in Rg.
  specialize (Rg k ltac:(apply in_seq; lia)).
  apply andb_prop in Rg as [R1 R2]. apply Z.leb_le, IZR_le in R1, R2. destruct (Spot _ _ (conj J (or_introl See)) Ft) as (Pt & _ & _ & Et & _ &
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

Lemma term_spot j b : term_of q0 (sym j) j = Some b -> sees A x at_position j = true -> exists s, first j (sym j) = Some s.
Proof.
  unfold term_of. rewrite looks_sees. intros F See. rewrite See in F. destruct (first at_position q0) as [sq|]; [|discriminate].
  destruct (first j (sym j)) as [st|]; [eauto|discriminate].
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
Lemma sum_positive h l : (l < K)%nat -> sees A x at_position l = true -> 0 < real_sum (h * W).
Proof.
  intros L See. unfold real_sum.
  assert (Each : forall j, real_term (h * W) j =
    if sees A x at_position j then exp (score A RB r0 h at_position j - IZR (reference q0 h) / P) else 0).
  { intros j. unfold real_term. replace (h * W)%nat with (h * W + 0)%nat by lia. rewrite row_div, row_mod by lia.
    destruct (sees A x at_position j); [|reflexivity]. cbv zeta. now rewrite Rmult_1_r. }
  apply rsum_pos with l; auto.
  - intros j. rewrite Each. destruct (sees A x at_position j); [left; apply exp_pos|lra].
  - rewrite Each, See. apply exp_pos.
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

(* The residual stream after attention. *)
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
End OneLayer.

(* In the first layer symbols are tokens. *)
Lemma token_spot A e p T first (x : list nat) j s : (0 <= p)%Z -> (0 <= e)%Z -> (0 < d_model A)%nat -> (0 < d_head A)%nat ->
  (0 < n_key_value_heads A <= n_heads A)%nat -> (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z ->
  match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end ->
  (forall j t, first j t = prepare_by A e p (blocks T O) j (embedded A e p T j t)) -> (j < n_ctx A)%nat ->
  first j (token x j) = Some s -> spot_ok A e p (blocks T O) (stream A (map_transformer (real e) T) x 0) j s.
Proof.
  intros Hp He Hd Hdh HG Heps Hscale Hfirst J F. rewrite Hfirst in F. eapply (prepare_ok A e p); eauto.
  eapply holds_ext; [|eapply constant_holds; eauto]. intros i _. cbn beta. unfold real. rewrite plus_IZR. cbn.
  unfold real, token, Rdiv. rewrite Rmult_plus_distr_r. reflexivity.
Qed.

(* Hints on rounding: the greatest score of a query, the middle between the least and the greatest value, and these less that, of
   what inputs have at positions. *)
Section Hints.
Variable A : architecture.
Variables e p : Z.
Variable T : transformer Z.
Variables layer at_position : nat.
Variable first : nat -> nat -> option spot.
Variable symbols : nat.
Notation dh := (d_head A).
Notation K := (n_ctx A).
Definition over_present (present : nat -> nat -> bool) (least : bool) (f : nat -> spot -> option Z) : Z :=
  let one j t := if present j t && looks_at A at_position j t then match first j t with Some s => f t s | None => None end else
    None in
  let found := flat_map (fun j => flat_map (fun t => match one j t with Some z => [z] | None => [] end) (seq 0 symbols)) (seq 0 K)
    in
  match found with [] => 0%Z | z :: rest => fold_left (if least then Z.min else Z.max) rest z end.
Definition reference_of (on_the_way : nat -> nat -> nat -> bool) (q h : nat) : Z :=
  match first at_position q with
  | Some sq =>
    let size := zsum dh (fun c => Z.abs (mid (asks sq) (h * dh + c)%nat)) in
    over_present (on_the_way q) false (fun t st => if negb (place (own st) =? at_position)%nat || (t =? q)%nat then
      let '(s, r) := score_of p dh (h * dh) (group_of A h) e (slopes (blocks T layer) h) at_position (asks sq) size (own st) in
      Some (s + r)%Z
      else None)
  | None => 0%Z
  end.
Variable present : nat -> nat -> bool.
Definition value_of (s : spot) (k : nat) : Z := mid (values (own s)) (group_of A (k / dh) * dh + k mod dh)%nat.
Definition centre_of (k : nat) : Z :=
  let value _ s := Some (value_of s k) in ((over_present present true value + over_present present false value) / 2)%Z.
Definition range_of (centre : nat -> Z) (k : nat) : Z * Z :=
  (over_present present true (fun _ s => Some (value_of s k - centre k - err (values (own s)))%Z),
   over_present present false (fun _ s => Some (value_of s k - centre k + err (values (own s)))%Z)).
End Hints.
