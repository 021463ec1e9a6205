(* Attention on enclosures: what a head adds up, of the positions that a query looks at; and activations of units. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential Vectors.
Import ListNotations.
Open Scope R_scope.

(* Sums over lists. *)
Fixpoint rlist {A} (l : list A) (f : A -> R) : R := match l with [] => 0 | x :: r => f x + rlist r f end.
Fixpoint zlist {A} (l : list A) (f : A -> Z) : Z := match l with [] => 0%Z | x :: r => (f x + zlist r f)%Z end.
Fixpoint zgreatest {A} (l : list A) (f : A -> Z) : Z :=
  match l with [] => 0%Z | [x] => f x | x :: r => Z.max (f x) (zgreatest r f) end.
Lemma zgreatest_ge {A} (l : list A) f x : In x l -> (f x <= zgreatest l f)%Z.
Proof.
  induction l as [|a [|b r] IH]; intros I; [destruct I|destruct I as [->|[]]; cbn; lia|].
  change (zgreatest (a :: b :: r) f) with (Z.max (f a) (zgreatest (b :: r) f)). destruct I as [->|I]; [lia|].
  specialize (IH I). lia.
Qed.
Lemma rlist_ext {A} (l : list A) f g : (forall x, In x l -> f x = g x) -> rlist l f = rlist l g.
Proof. induction l as [|a r IH]; cbn; intros H; auto. rewrite (H a), IH; auto. Qed.
Lemma rlist_le {A} (l : list A) f g : (forall x, In x l -> f x <= g x) -> rlist l f <= rlist l g.
Proof. induction l as [|a r IH]; cbn; intros H; [lra|]. apply Rplus_le_compat; auto. Qed.
Lemma rlist_scal_r {A} (l : list A) c f : rlist l (fun x => f x * c) = rlist l f * c.
Proof. induction l; cbn; lra. Qed.
Lemma rlist_minus {A} (l : list A) f g : rlist l (fun x => f x - g x) = rlist l f - rlist l g.
Proof. induction l; cbn; lra. Qed.
Lemma rlist_IZR {A} (l : list A) f : rlist l (fun x => IZR (f x)) = IZR (zlist l f).
Proof. induction l; cbn [rlist zlist]; auto. now rewrite plus_IZR, IHl. Qed.
Lemma zlist_map {A B} (h : A -> B) l f : zlist (map h l) f = zlist l (fun x => f (h x)).
Proof. induction l; cbn; auto. now rewrite IHl. Qed.
Lemma rlist_map {A B} (h : A -> B) l f : rlist (map h l) f = rlist l (fun x => f (h x)).
Proof. induction l; cbn; auto. now rewrite IHl. Qed.
Lemma rlist_zero {A} (l : list A) : rlist l (fun _ => 0) = 0.
Proof. induction l; cbn; lra. Qed.
Lemma zlist_less {A} (l : list A) f g m : zlist l (fun x => f x * (g x - m))%Z = (zlist l (fun x => f x * g x) - zlist l f *
  m)%Z.
Proof. induction l; cbn [zlist]; lia. Qed.
Lemma rlist_abs {A} (l : list A) f : Rabs (rlist l f) <= rlist l (fun x => Rabs (f x)).
Proof. induction l as [|a r IH]; cbn; [rewrite Rabs_R0; lra|]. assert (T := Rabs_triang (f a) (rlist r f)). lra. Qed.

(* exp is 1-Lipschitz below 0. *)
Lemma exp_lipschitz a b : a <= 0 -> b <= 0 -> Rabs (exp a - exp b) <= Rabs (a - b).
Proof.
  assert (G : forall a b, a <= b -> b <= 0 -> exp b - exp a <= b - a).
  { intros u v L N. assert (E := exp_ineq1_le (u - v)). assert (X := exp_pos v).
    assert (Y : exp v <= 1) by (rewrite <- exp_0; destruct (Req_dec v 0) as [->|]; [lra|left; apply exp_increasing; lra]).
    replace (exp u) with (exp v * exp (u - v)) by (rewrite <- exp_plus; f_equal; ring). nra. }
  assert (Mono : forall u v, u <= v -> exp u <= exp v).
  { intros u v L. destruct (Req_dec u v) as [->|]; [lra|left; apply exp_increasing; lra]. }
  intros A B. destruct (Rle_dec a b) as [L|L].
  - assert (X := G a b L B). assert (Y := Mono a b L). rewrite !Rabs_left1 by lra. lra.
  - assert (X := G b a ltac:(lra) A). assert (Y := Mono b a ltac:(lra)). rewrite !Rabs_pos_eq by lra. lra.
Qed.
Lemma exp_near a b r : a <= 0 -> b <= 0 -> Rabs (a - b) <= r -> 16 * r <= 1 -> Rabs (exp a - exp b) <= exp b * (9 / 8) * r.
Proof.
  intros A B D R. assert (D' : - r <= a - b <= r) by (apply between; exact D). set (u := a - b) in *.
  replace (exp a) with (exp b * exp u) by (rewrite <- exp_plus; f_equal; unfold u; ring).
  replace (exp b * exp u - exp b) with (exp b * (exp u - 1)) by ring. rewrite Rabs_mult, (Rabs_pos_eq (exp b)), Rmult_assoc by
    (left; apply exp_pos).
  apply Rmult_le_compat_l; [left; apply exp_pos|]. assert (E1 := exp_ineq1_le u). assert (E2 := exp_ineq1_le (- u)).
  assert (M : exp u * exp (- u) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0). assert (X := exp_pos u).
  apply Rabs_le. split; [lra|]. assert (U : exp u * (1 - u) <= 1) by nra. nra.
Qed.
Definition logistic (z : R) : R := / (1 + exp (- z)).
Lemma logistic_lipschitz a b : Rabs (logistic a - logistic b) <= Rabs (a - b).
Proof.
  assert (G : forall a b, b <= a -> 0 <= logistic a - logistic b <= a - b).
  { intros u v L. unfold logistic. assert (E := exp_ineq1_le (- (u - v))). assert (X := exp_pos (- v)).
    assert (Y := exp_pos (- u)).
    assert (M : exp (- u) = exp (- v) * exp (- (u - v))) by (rewrite <- exp_plus; f_equal; ring).
    assert (Z : exp (- (u - v)) <= 1).
    { rewrite <- exp_0. destruct (Req_dec (- (u - v)) 0) as [->|]; [lra|left; apply exp_increasing; lra]. }
    set (s := exp (- v)) in *. set (t := exp (- (u - v))) in *. rewrite M in *.
    replace (/ (1 + s * t) - / (1 + s)) with (s * (1 - t) * / ((1 + s * t) * (1 + s))) by (field; nra).
    assert (Q : 0 < s * t) by (rewrite <- M; lra). set (D := (1 + s * t) * (1 + s)).
    assert (Dp : s <= D /\ 0 < D) by (unfold D; nra).
    assert (I : 0 < / D) by now apply Rinv_0_lt_compat. split; [apply Rmult_le_pos; [nra|lra]|].
    apply Rmult_le_reg_r with D; [lra|]. rewrite Rmult_assoc, Rinv_l by lra. rewrite Rmult_1_r.
    apply Rle_trans with (s * (u - v)); [apply Rmult_le_compat_l; lra|]. rewrite (Rmult_comm s). apply Rmult_le_compat_l; lra. }
  destruct (Rle_dec b a) as [L|L].
  - assert (X := G a b L). rewrite !Rabs_pos_eq by lra. lra.
  - assert (X := G b a ltac:(lra)). rewrite !Rabs_left1 by lra. lra.
Qed.

Section Attention.
Variable p : Z.
Hypothesis Hp : (0 <= p)%Z.
Notation P := (IZR (2 ^ p)).
Variable expo : Z -> Z * Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).

Lemma err_nonneg x m r : within p x m r -> 0 <= IZR r.
Proof. intros H. eapply Rle_trans; [apply Rabs_pos|exact H]. Qed.

(* Products of two numbers. *)
Definition times (a b : Z * Z) : Z * Z :=
  let '(m, r) := a in let '(n, s) := b in
  (fshr (m * n) p, cshr (Z.abs m * s + Z.abs n * r + r * s) p + 1)%Z.
Lemma product_error x y m n r s : within p x m r -> within p y n s ->
  Rabs (x * y * P * P - IZR (m * n)) <= IZR (Z.abs m * s + Z.abs n * r + r * s).
Proof.
  unfold within. intros A B. rewrite !plus_IZR, !mult_IZR, !abs_IZR.
  replace (x * y * P * P - IZR m * IZR n) with (IZR m * (y * P - IZR n) + IZR n * (x * P - IZR m) + (x * P - IZR m) * (y * P -
    IZR n)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. apply Rplus_le_compat.
  - eapply Rle_trans; [apply Rabs_triang|]. rewrite !Rabs_mult. assert (U := Rabs_pos (IZR m)). assert (V := Rabs_pos (IZR n)).
    apply Rplus_le_compat; apply Rmult_le_compat_l; auto.
  - rewrite Rabs_mult. apply Rmult_le_compat; auto; apply Rabs_pos.
Qed.
Lemma times_ok x y a b : within p x (fst a) (snd a) -> within p y (fst b) (snd b) -> within p (x * y) (fst (times a b)) (snd
  (times a b)).
Proof. destruct a as [m r], b as [n s]. cbn [fst snd times]. intros A B. apply rounded; auto. now apply product_error. Qed.

(* 1 / (1 + exp (-z)), and z / (1 + exp (-z)). *)
Definition logistic_of (a : Z * Z) : Z * Z :=
  let '(m, r) := a in
  let '(lo, hi) := expo (Z.abs m) in
  let one := Z.shiftl 1 p in let square := Z.shiftl one p in
  let least := (square / (one + Z.max 0 hi))%Z in let most := cdiv square (one + Z.max 0 lo) in
  let low := if (0 <=? m)%Z then least else (one - most)%Z in
  (low, most - least + r)%Z.
Lemma logistic_minus z : logistic (- z) = 1 - logistic z.
Proof.
  unfold logistic. rewrite Ropp_involutive. assert (X := exp_pos z). assert (Y := exp_pos (- z)).
  assert (E : exp z * exp (- z) = 1) by (rewrite <- exp_plus, Rplus_opp_r; apply exp_0).
  apply Rmult_eq_reg_r with ((1 + exp z) * (1 + exp (- z))); [|nra]. field_simplify; nra.
Qed.
Lemma logistic_ok x a : within p x (fst a) (snd a) -> within p (logistic x) (fst (logistic_of a)) (snd (logistic_of a)).
Proof.
  destruct a as [m r]. cbn [fst snd logistic_of]. intros A. assert (W := P_pos p Hp).
  assert (E := expo_ok (Z.abs m) ltac:(lia)). destruct (expo (Z.abs m)) as [lo hi]. cbn [fst snd] in *.
  set (one := Z.shiftl 1 p). assert (One : one = (2 ^ p)%Z) by (unfold one; apply Z.shiftl_1_l).
  assert (Onep : (0 < one)%Z) by (rewrite One; now apply Z.pow_pos_nonneg).
  assert (Square : Z.shiftl one p = (2 ^ p * 2 ^ p)%Z) by (rewrite One; now apply Z.shiftl_mul_pow2). rewrite Square.
  set (least := (_ / _)%Z). set (most := cdiv _ _).
  assert (X := exp_pos (- (IZR (Z.abs m) / P))).
  assert (Pos : IZR least <= logistic (IZR (Z.abs m) / P) * P <= IZR most).
  { unfold logistic. set (t := exp _) in *.
    assert (D1 : IZR least * IZR (one + Z.max 0 hi) <= P * P) by (rewrite <- (mult_IZR (2 ^ p)); apply div_le; lia).
    assert (D2 : P * P <= IZR most * IZR (one + Z.max 0 lo)) by (rewrite <- (mult_IZR (2 ^ p)); apply cdiv_ge; lia).
    rewrite plus_IZR, One in D1, D2.
    assert (Hi : P * t <= IZR (Z.max 0 hi)) by (eapply Rle_trans; [apply E|apply IZR_le; lia]).
    assert (Lo : IZR (Z.max 0 lo) <= P * t).
    { destruct (Z.max_spec 0 lo) as [[L ->]|[L ->]]; [lra|]. apply Rmult_le_pos; lra. }
    assert (L0 : 0 <= IZR least).
    { apply IZR_le. unfold least. apply Z.div_pos; [|lia]. apply Z.mul_nonneg_nonneg; now apply Z.pow_nonneg. }
    assert (M0 : 0 <= IZR (Z.max 0 lo)) by (apply IZR_le; lia).
    replace (/ (1 + t) * P) with (P * P / (P + P * t)) by (field; nra).
    split; apply Rmult_le_reg_r with (P + P * t); try nra; unfold Rdiv; rewrite Rmult_assoc, Rinv_l by nra; nra. }
  assert (B : Rabs (logistic x - logistic (IZR m / P)) * P <= IZR r).
  { eapply Rle_trans; [apply Rmult_le_compat_r; [lra|apply logistic_lipschitz]|].
    rewrite <- (Rabs_pos_eq P) at 2 by lra. rewrite <- Rabs_mult. unfold within in A.
    replace ((x - IZR m / P) * P) with (x * P - IZR m) by (field; lra). exact A. }
  assert (C : IZR (if (0 <=? m)%Z then least else one - most) <= logistic (IZR m / P) * P <=
    IZR (if (0 <=? m)%Z then least else one - most) + IZR (most - least)).
  { rewrite minus_IZR. destruct (Z.leb_spec 0 m) as [L|L].
    - rewrite Z.abs_eq in Pos by auto. lra.
    - rewrite Z.abs_neq, opp_IZR in Pos by lia. replace (- IZR m / P) with (- (IZR m / P)) in Pos by (field; lra).
      rewrite logistic_minus in Pos. rewrite minus_IZR, One. lra. }
  set (low := IZR (if (0 <=? m)%Z then least else one - most)) in *. cbv zeta. unfold within. fold low. rewrite plus_IZR.
  replace (logistic x * P - low) with ((logistic x - logistic (IZR m / P)) * P + (logistic (IZR m / P) * P - low)) by ring.
  eapply Rle_trans; [apply Rabs_triang|]. rewrite Rabs_mult, (Rabs_pos_eq P), (Rabs_pos_eq (_ - low)) by lra. lra.
Qed.
Definition silu_of (a : Z * Z) : Z * Z := times a (logistic_of a).
Lemma silu_ok x a : within p x (fst a) (snd a) -> within p (x / (1 + exp (- x))) (fst (silu_of a)) (snd (silu_of a)).
Proof. intros H. apply times_ok; auto. now apply logistic_ok. Qed.

(* Numbers as a vector: the largest error is that of all. *)
Definition gathered (n : nat) (f : nat -> Z * Z) : vector :=
  let table := memo1 n f in Vector (fun i => fst (table i)) (zmax n (fun i => snd (table i))).
Lemma gathered_holds n f x : (forall i, (i < n)%nat -> within p (x i) (fst (f i)) (snd (f i))) -> holds p n (gathered n f) x.
Proof.
  intros H i Hi. unfold gathered. cbv zeta. cbn [mid err]. rewrite memo1_eq. eapply Rle_trans; [now apply H|].
  apply Rle_trans with (IZR (snd (memo1 n f i))); [rewrite memo1_eq; lra|].
  apply (zmax_IZR n (fun i => snd (memo1 n f i))); auto.
Qed.

Definition products (n : nat) (v w : vector) : vector := gathered n (fun i => times (mid v i, err v) (mid w i, err w)).
Lemma products_holds n v w x y : holds p n v x -> holds p n w y -> holds p n (products n v w) (fun i => x i * y i).
Proof. intros H G. apply gathered_holds. intros i Hi. apply times_ok; [now apply H|now apply G]. Qed.

(* A position that may be looked at: its number, keys and values of all groups;
  and for each group, the sum of the absolute values
   of the key. *)
Record entry := Entry { place : nat; keys : vector; values : vector; key_sizes : nat -> Z }.
Definition entry_of (groups n : nat) (l : nat) (k v : vector) : entry :=
  Entry l k v (memo1 groups (fun g => zsum n (fun c => Z.abs (mid k (g * n + c)%nat)))).

(* Its exponential less that of a reference that is not less than any score: and its error. *)
Definition weight_of (reference : Z) (score : Z * Z) : Z * Z :=
  let '(s, r) := score in
  let '(lo, hi) := expo (reference - s) in
  (lo, hi - lo + if (Z.shiftl r 4 <=? Z.shiftl 1 p)%Z then cshr (9 * hi * r) (p + 3) else r)%Z.
Lemma weight_ok reference s r x : within p x s r -> (s + r <= reference)%Z ->
  let found := weight_of reference (s, r) in within p (exp (x - IZR reference / P)) (fst found) (snd found).
Proof.
  intros H L. cbv zeta. unfold weight_of. assert (W := P_pos p Hp). assert (N := err_nonneg _ _ _ H). apply (le_IZR 0) in N.
  assert (E := expo_ok (reference - s) ltac:(lia)). destruct (expo (reference - s)) as [lo hi]. cbn [fst snd] in *.
  apply IZR_le in L. rewrite plus_IZR in L. rewrite minus_IZR in E. assert (N' := err_nonneg _ _ _ H).
  set (a := x - IZR reference / P) in *. set (b := - ((IZR reference - IZR s) / P)) in *.
  assert (S : forall a b, a * P <= b * P -> a <= b) by (intros ? ? Q0; apply Rmult_le_reg_r with P; auto).
  apply within_iff in H.
  assert (Ap : a * P = x * P - IZR reference) by (unfold a; field; lra).
  assert (Bp : b * P = IZR s - IZR reference) by (unfold b; field; lra).
  assert (A0 : a <= 0) by (apply S; lra). assert (B0 : b <= 0) by (apply S; lra).
  assert (Ab : Rabs (a - b) * P <= IZR r).
  { rewrite <- (Rabs_pos_eq P) at 1 by lra. rewrite <- Rabs_mult, Rmult_minus_distr_r, Ap, Bp. apply Rabs_le. lra. }
  set (rho := if (Z.shiftl r 4 <=? Z.shiftl 1 p)%Z then cshr (9 * hi * r) (p + 3) else r).
  assert (D : Rabs (exp a - exp b) * P <= IZR rho).
  { unfold rho. rewrite Z.shiftl_1_l, Z.shiftl_mul_pow2 by lia. change (2 ^ 4)%Z with 16%Z.
    destruct (Z.leb_spec (r * 16) (2 ^ p)) as [Small|_].
    - apply IZR_le in Small. rewrite mult_IZR in Small. assert (C := cshr_ge (9 * hi * r) (p + 3) ltac:(lia)).
      rewrite (pw_add p 3), !mult_IZR in C by lia. change (IZR (2 ^ 3)) with 8 in C.
      assert (Rr : Rabs (a - b) <= IZR r / P) by (apply S; replace (IZR r / P * P) with (IZR r) by (field; lra); lra).
      assert (Near := exp_near a b (IZR r / P) A0 B0 Rr). assert (R16 : 16 * (IZR r / P) <= 1) by (apply S;
        replace (16 * (IZR r / P) * P) with (IZR r * 16) by (field; lra); lra).
      specialize (Near R16). apply S. apply Rle_trans with (exp b * (9 / 8) * (IZR r / P) * P * P).
      + apply Rmult_le_compat_r; [lra|]. apply Rmult_le_compat_r; lra.
      + replace (exp b * (9 / 8) * (IZR r / P) * P * P) with (P * exp b * (9 / 8 * IZR r)) by (field; lra).
        apply Rle_trans with (IZR hi * (9 / 8 * IZR r)); [apply Rmult_le_compat_r; lra|]. lra.
    - eapply Rle_trans; [apply Rmult_le_compat_r; [lra|apply exp_lipschitz; auto]|]. exact Ab. }
  unfold within. rewrite plus_IZR, minus_IZR. fold rho.
  replace (exp a * P - IZR lo) with ((exp a - exp b) * P + (P * exp b - IZR lo)) by ring.
  eapply Rle_trans; [apply Rabs_triang|].
  rewrite Rabs_mult, (Rabs_pos_eq P), (Rabs_pos_eq (P * exp b - _)) by lra. lra.
Qed.

Section Head.
Variables (n : nat) (offset group : nat) (e slope : Z) (j : nat) (q : vector).
  (* n = d_head; the head's first coordinate, its group *)
Hypothesis He : (0 <= e)%Z.
Definition distance (l : nat) : Z := Z.abs (Z.of_nat j - Z.of_nat l).
(* A score, and its error; size is the sum of the absolute values of the query. *)
Definition score_of (size : Z) (E : entry) : Z * Z :=
  let s := zsum n (fun c => mid q (offset + c)%nat * mid (keys E) (group * n + c)%nat)%Z in
  let off := (size * err (keys E) + key_sizes E group * err q + Z.of_nat n * err q * err (keys E))%Z in
  (fshr s p - fshr (Z.shiftl (slope * distance (place E)) p) e, cshr off p + 2)%Z.
(* What a head writes: the mean of the values with the weights as they are found, and how far the real one may be off, if the
  sum
   of the weights is proved to be positive. *)
Definition head_of (entries : list entry) : option vector :=
  match entries with
  | [] => Some (Vector (fun _ => 0%Z) 0%Z)
  | _ =>
    let size := zsum n (fun c => Z.abs (mid q (offset + c)%nat)) in
    let scores := map (fun E => (E, score_of size E)) entries in
    let reference := zgreatest scores (fun s => fst (snd s) + snd (snd s))%Z in
    let weights := map (fun s => (fst s, weight_of reference (snd s))) scores in
    let total := zlist weights (fun w => fst (snd w)) in
    let least := (total - zlist weights (fun w => snd (snd w)))%Z in
    if (0 <? least)%Z then
      let mean := memo1 n (fun c => zlist weights (fun w => fst (snd w) * mid (values (fst w)) (group * n + c)%nat) / total)%Z
        in
      let wrong := zlist weights (fun w => let E := fst w in let '(m, r) := snd w in
        (Z.abs m * err (values E) + (zmax n (fun c => Z.abs (mid (values E) (group * n + c)%nat - mean c)) + err (values E)) *
          r)%Z) in
      Some (Vector mean (cdiv (total + wrong) least))
    else None
  end.

(* In real numbers: of a query Q, already divided by the scale, and keys and values of the places. *)
Variables (Q : nat -> R) (K V : nat -> nat -> R) (slope_value : R).
Hypothesis Hslope : slope_value = IZR slope / IZR (2 ^ e).
Definition real_score (l : nat) : R := rsum n (fun c => Q (offset + c)%nat * K l (group * n + c)%nat) - slope_value * Rabs (INR
  j - INR l).
Variable groups : nat.
Definition entry_ok (E : entry) : Prop :=
  holds p (groups * n) (keys E) (K (place E)) /\ holds p (groups * n) (values E) (V (place E)) /\
  (forall g, (g < groups)%nat -> key_sizes E g = zsum n (fun c => Z.abs (mid (keys E) (g * n + c)%nat))).
Hypothesis Hgroup : (group < groups)%nat.
Variable size_q : nat.
Hypothesis Hsize_q : (offset + n <= size_q)%nat.
Hypothesis HQ : holds p size_q q Q.

Lemma distance_value l : IZR (distance l) = Rabs (INR j - INR l).
Proof. unfold distance. now rewrite abs_IZR, minus_IZR, !INR_IZR_INZ. Qed.
Lemma within_group c : (c < n)%nat -> (group * n + c < groups * n)%nat.
Proof. intros. assert (group * n + n <= groups * n)%nat by (rewrite <- Nat.mul_succ_l; apply Nat.mul_le_mono_r; lia). lia. Qed.

Lemma score_ok E : entry_ok E ->
  let found := score_of (zsum n (fun c => Z.abs (mid q (offset + c)%nat))) E in within p (real_score (place E)) (fst found)
    (snd found).
Proof.
  intros (HK & _ & HM). cbv zeta. unfold score_of. cbn [fst snd]. rewrite (HM group Hgroup). clear HM.
  set (off := (_ + Z.of_nat n * err q * err (keys E))%Z). set (s := zsum n (fun c => _ * _)%Z).
  assert (A : within p (rsum n (fun c => Q (offset + c)%nat * K (place E) (group * n + c)%nat)) (fshr s p) (cshr off p + 1)).
  { apply rounded; auto. unfold s. rewrite <- rsum_IZR, <- !rsum_scal_r, <- rsum_minus. eapply Rle_trans; [apply rsum_abs|].
    apply Rle_trans with (rsum n (fun c => IZR (Z.abs (mid q (offset + c)%nat)) * IZR (err (keys E)) +
      IZR (Z.abs (mid (keys E) (group * n + c)%nat)) * IZR (err q) + IZR (err q * err (keys E)))).
    - apply rsum_le. intros c Hc. assert (X := HQ (offset + c)%nat ltac:(lia)).
      assert (Y := HK (group * n + c)%nat (within_group c Hc)).
      eapply Rle_trans; [exact (product_error _ _ _ _ _ _ X Y)|]. rewrite !plus_IZR, !mult_IZR. lra.
    - unfold off. rewrite !rsum_plus, rsum_const, !rsum_scal_r, !rsum_IZR, INR_IZR_INZ, !plus_IZR, !mult_IZR. lra. }
  assert (B : within p (slope_value * Rabs (INR j - INR (place E))) (fshr (Z.shiftl (slope * distance (place E)) p) e) 1).
  { change 1%Z with (0 + 1)%Z. replace 0%Z with (cshr 0 e) at 1 by (unfold cshr; cbn [Z.opp]; now rewrite Z.shiftr_0_l).
    apply rounded; auto.
    rewrite Hslope, <- distance_value, Z.shiftl_mul_pow2, !mult_IZR by lia. assert (X := pw_pos e He).
    match goal with |- Rabs ?t <= _ => replace t with 0 by (field; lra) end. rewrite Rabs_R0. lra. }
  apply within_iff in A, B. apply within_iff. unfold real_score. rewrite minus_IZR, plus_IZR. rewrite plus_IZR in A. lra.
Qed.

Theorem head_ok entries found : (forall E, In E entries -> entry_ok E) -> head_of entries = Some found ->
  holds p n found (fun c => match entries with [] => 0 | _ =>
    rlist entries (fun E => exp (real_score (place E)) * V (place E) (group * n + c)%nat) / rlist entries (fun E => exp
      (real_score (place E))) end).
Proof.
  intros Ok. unfold head_of. destruct entries as [|first rest] eqn:Shape.
  { intros F. injection F as <-. intros c _. cbn [mid err]. unfold within. rewrite Rmult_0_l, Rminus_0_r, Rabs_R0. cbn. lra. }
  rewrite <- Shape in *. clear first rest Shape. cbv zeta. set (size := zsum n _).
  set (scores := map _ entries). set (reference := zgreatest scores _). set (weights := map _ scores).
  set (total := zlist weights _). set (off := zlist weights (fun w => snd (snd w))).
  destruct (Z.ltb_spec 0 (total - off)) as [Pos|]; [|discriminate]. intros F. injection F as <-.
  assert (W := P_pos p Hp). set (c0 := IZR reference / P). set (u E := exp (real_score (place E) - c0)).
  (* Each weight is enclosed, and belongs to an entry. *)
  set (weigh E := weight_of reference (score_of size E)).
  assert (Ws : weights = map (fun E => (E, weigh E)) entries).
  { unfold weights, scores. rewrite map_map. reflexivity. }
  assert (Wk : forall E, In E entries -> within p (u E) (fst (weigh E)) (snd (weigh E))).
  { intros E I. unfold u, c0, weigh. assert (S := score_ok E (Ok E I)). cbv zeta in S. fold size in S.
    destruct (score_of size E) as [s r] eqn:Sc. apply weight_ok; auto.
    assert (G := zgreatest_ge scores (fun s => fst (snd s) + snd (snd s))%Z (E, (s, r))). cbn [fst snd] in G. apply G.
    unfold scores. apply in_map_iff. exists E. rewrite <- Sc. auto. }
  assert (Total : total = zlist entries (fun E => fst (weigh E))) by (unfold total; now rewrite Ws, zlist_map).
  assert (Off : off = zlist entries (fun E => snd (weigh E))) by (unfold off; now rewrite Ws, zlist_map).
  assert (Sum : IZR (total - off) <= rlist entries u * P).
  { rewrite minus_IZR, Total, Off, <- !rlist_IZR, <- rlist_scal_r.
    assert (T : Rabs (rlist entries (fun E => u E * P) - rlist entries (fun E => IZR (fst (weigh E)))) <= rlist entries (fun E
      => IZR (snd (weigh E)))).
    { rewrite <- rlist_minus. eapply Rle_trans; [apply rlist_abs|]. apply rlist_le. intros E I. now apply Wk. }
    apply between in T. lra. }
  assert (OffPos : (0 <= off)%Z).
  { rewrite Off. apply le_IZR. rewrite <- rlist_IZR. rewrite <- (rlist_zero entries). apply rlist_le. intros E I.
    exact (err_nonneg _ _ _ (Wk E I)). }
  set (mean := memo1 n _). set (wrong := zlist weights (fun w => _)).
  intros c Hc. cbn [mid err].
  (* The mean's own remainder, and the errors. *)
  assert (Rem : Rabs (rlist entries (fun E => IZR (fst (weigh E) * (mid (values E) (group * n + c)%nat - mean c)))) <= IZR
    total).
  { assert (M : mean c = (zlist entries (fun E => fst (weigh E) * mid (values E) (group * n + c)%nat) / total)%Z).
    { unfold mean. rewrite memo1_eq, Ws, zlist_map. reflexivity. }
    assert (Dm := Z.div_mod (zlist entries (fun E => fst (weigh E) * mid (values E) (group * n + c)%nat)%Z) total ltac:(lia)).
    assert (Bm := Z.mod_pos_bound (zlist entries (fun E => fst (weigh E) * mid (values E) (group * n + c)%nat)%Z) total
      ltac:(lia)).
    rewrite <- M in Dm.
    assert (Eq : (zlist entries (fun E => fst (weigh E) * (mid (values E) (group * n + c)%nat - mean c)) =
      zlist entries (fun E => fst (weigh E) * mid (values E) (group * n + c)%nat) - total * mean c)%Z).
    { rewrite Total at 1. apply (zlist_less entries (fun E => fst (weigh E)) (fun E => mid (values E) (group * n + c)%nat)). }
    rewrite rlist_IZR, Eq, <- abs_IZR. apply IZR_le. lia. }
  assert (Errs : Rabs (rlist entries (fun E => u E * P * (V (place E) (group * n + c)%nat * P - IZR (mean c)) -
    IZR (fst (weigh E) * (mid (values E) (group * n + c)%nat - mean c)))) <= IZR wrong).
  { unfold wrong. rewrite Ws, zlist_map, <- rlist_IZR. eapply Rle_trans; [apply rlist_abs|]. apply rlist_le. intros E I.
    cbn [fst snd].
    destruct (Ok E I) as (_ & HV & _). specialize (HV (group * n + c)%nat (within_group c Hc)). assert (Wp := Wk E I).
    destruct (weigh E) as [wm wr] eqn:We. cbn [fst snd] in *.
    assert (HV' : within p (V (place E) (group * n + c)%nat - IZR (mean c) / P) (mid (values E) (group * n + c)%nat - mean c)
      (err (values E))).
    { apply within_iff in HV. apply within_iff. rewrite minus_IZR, Rmult_minus_distr_r.
      replace (IZR (mean c) / P * P) with (IZR (mean c)) by (field; lra). lra. }
    assert (Pe := product_error _ _ _ _ _ _ Wp HV').
    replace (u E * (V (place E) (group * n + c)%nat - IZR (mean c) / P) * P * P) with (u E * P * (V (place E) (group * n +
      c)%nat * P - IZR (mean c))) in Pe by (field; lra).
    eapply Rle_trans; [exact Pe|]. apply IZR_le. assert (N := err_nonneg _ _ _ Wp). apply (le_IZR 0) in N.
    assert (Mx := zmax_ge n (fun c => Z.abs (mid (values E) (group * n + c)%nat - mean c)) c Hc). cbn beta in Mx. nia. }
  set (N := rlist entries (fun E => u E * P * (V (place E) (group * n + c)%nat * P - IZR (mean c)))).
  assert (Nb : Rabs N <= IZR (total + wrong)).
  { rewrite plus_IZR. unfold N.
    replace (rlist entries (fun E => u E * P * (V (place E) (group * n + c)%nat * P - IZR (mean c)))) with
      (rlist entries (fun E => IZR (fst (weigh E) * (mid (values E) (group * n + c)%nat - mean c))) +
       rlist entries (fun E => u E * P * (V (place E) (group * n + c)%nat * P - IZR (mean c)) - IZR (fst (weigh E) * (mid
         (values E) (group * n + c)%nat - mean c))))
      by (rewrite rlist_minus; ring).
    eapply Rle_trans; [apply Rabs_triang|]. lra. }
  assert (C := cdiv_ge (total + wrong) (total - off) ltac:(lia)). apply IZR_lt in Pos. set (bound := cdiv _ _) in *.
  assert (T : 0 < rlist entries u) by (apply Rmult_lt_reg_r with P; lra).
  assert (Good : within p (rlist entries (fun E => u E * V (place E) (group * n + c)%nat) / rlist entries u) (mean c) bound).
  { unfold within. assert (Eq : (rlist entries (fun E => u E * V (place E) (group * n + c)%nat) / rlist entries u * P - IZR
    (mean c)) * (rlist entries u * P) = N).
    { unfold N. rewrite (rlist_ext entries (fun E => u E * P * (V (place E) (group * n + c)%nat * P - IZR (mean c)))
        (fun E => u E * V (place E) (group * n + c)%nat * (P * P) - u E * (IZR (mean c) * P))) by (intros; ring).
      rewrite rlist_minus, !rlist_scal_r. field. lra. }
    apply Rmult_le_reg_r with (rlist entries u * P); [nra|]. rewrite <- (Rabs_pos_eq (rlist entries u * P)) at 1 by nra.
    rewrite <- Rabs_mult, Eq. eapply Rle_trans; [exact Nb|]. eapply Rle_trans; [exact C|].
    apply Rmult_le_compat_l; [|lra]. assert (B0 : 0 <= IZR (total + wrong)) by (eapply Rle_trans; [apply Rabs_pos|exact Nb]).
    apply Rnot_lt_le. intros Q0. nra. }
  destruct entries as [|first rest] eqn:Shape; [cbn in T; lra|]. rewrite <- Shape in *.
  replace (_ / _) with (rlist entries (fun E => u E * V (place E) (group * n + c)%nat) / rlist entries u); [exact Good|].
  assert (Up : forall E, exp (real_score (place E)) = u E * exp c0) by (intros; unfold u; rewrite <- exp_plus; f_equal; ring).
  rewrite (rlist_ext entries (fun E => exp (real_score (place E))) (fun E => u E * exp c0)) by (intros; apply Up).
  rewrite (rlist_ext entries (fun E => exp (real_score (place E)) * V (place E) (group * n + c)%nat)
    (fun E => u E * V (place E) (group * n + c)%nat * exp c0)) by (intros; rewrite Up; ring).
  rewrite !rlist_scal_r. assert (X := exp_pos c0). field. lra.
Qed.
End Head.
End Attention.
