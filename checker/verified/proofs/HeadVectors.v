(* Queries and keys of heads on enclosures: their norms, and how rotary positions turn them. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential Vectors Attention Transformers Turns.
Import ListNotations.
Open Scope R_scope.

Lemma flat_div h m c : (c < m)%nat -> ((h * m + c) / m = h)%nat.
Proof. intros L. rewrite Nat.div_add_l, Nat.div_small by lia. lia. Qed.
Lemma flat_mod h m c : (c < m)%nat -> ((h * m + c) mod m = c)%nat.
Proof. intros L. rewrite Nat.add_comm, Nat.mod_add, Nat.mod_small by lia. reflexivity. Qed.
Lemma flat_lt h n m c : (h < n)%nat -> (c < m)%nat -> (h * m + c < n * m)%nat.
Proof. nia. Qed.
Lemma holds_ext p n v f g : (forall i, (i < n)%nat -> f i = g i) -> holds p n v f -> holds p n v g.
Proof. intros E F i Hi. rewrite <- E by auto. now apply F. Qed.

(* Numbers in units of 2^-e. *)
Definition real (e z : Z) : R := IZR z / IZR (2 ^ e).
Definition constant (e p : Z) (n : nat) (b : nat -> Z) : vector := Vector (memo1 n (fun i => fshr (Z.shiftl (b i) p) e)) 1.
Lemma constant_holds e p n b : (0 <= p)%Z -> (0 <= e)%Z -> holds p n (constant e p n b) (fun i => real e (b i)).
Proof.
  intros Hp He i Hi. unfold constant. cbn [mid err]. rewrite memo1_eq. change 1%Z with (0 + 1)%Z.
  replace 0%Z with (cshr 0 e) at 1 by (unfold cshr; cbn [Z.opp]; now rewrite Z.shiftr_0_l). apply rounded; auto.
  rewrite Z.shiftl_mul_pow2, mult_IZR by lia. assert (X := pw_pos e He). unfold real.
  match goal with |- Rabs ?t <= _ => replace t with 0 by (field; lra) end. rewrite Rabs_R0. lra.
Qed.

Section HeadVectors.
Variable A : architecture.
Variables e p : Z.
Notation P := (IZR (2 ^ p)).
Notation dh := (d_head A). Notation w := (rotary_dim A).

(* Vectors of heads, side by side. *)
Definition no_bias (_ : nat) : Z := 0.
Definition part (h : nat) (v : vector) : vector := Vector (fun c => mid v (h * dh + c)%nat) (err v).
Definition by_heads (n : nat) (f : nat -> option vector) : option vector :=
  let heads := memo1 n f in
  let head h := match heads h with Some v => v | None => Vector no_bias 0 end in
  if forallb (fun h => match heads h with Some _ => true | None => false end) (seq 0 n) then
    Some (Vector (memo1 (n * dh) (fun i => mid (head (i / dh)%nat) (i mod dh)%nat)) (zmax n (fun h => err (head h))))
  else None.

(* Over the root of the mean square; times weights. *)
Definition divided (n : nat) (v : vector) : option vector :=
  match root_of p n (fst (eps A)) (snd (eps A)) v with None => None | Some (low, high) => Some (over p n v low high) end.
Definition qk_normed_of (W : nat -> Z) : vector -> option vector :=
  let weighed := scaled_by p e dh W no_bias in
  fun v => if use_qk_norm A then option_map weighed (divided dh v) else Some v.

(* Turned as at a position. *)
Definition turns : nat -> nat -> turn :=
  let pairs := (w / 2)%nat in
  let roots := memo1 pairs (root_of_base p (fst (rotary_base A)) (snd (rotary_base A)) w) in
  memo2 (n_ctx A) pairs (fun j s => turn_of p (roots s) j).
Definition sum_of (a b : Z * Z) : Z * Z := (fst a + fst b, snd a + snd b)%Z.
Definition less (a b : Z * Z) : Z * Z := (fst a - fst b, snd a + snd b)%Z.
Lemma sum_of_ok x y a b : within p x (fst a) (snd a) -> within p y (fst b) (snd b) -> within p (x + y) (fst (sum_of a b)) (snd
  (sum_of a b)).
Proof. rewrite !within_iff. cbn [sum_of fst snd]. rewrite !plus_IZR. lra. Qed.
Lemma less_ok x y a b : within p x (fst a) (snd a) -> within p y (fst b) (snd b) -> within p (x - y) (fst (less a b)) (snd
  (less a b)).
Proof. rewrite !within_iff. cbn [less fst snd]. rewrite plus_IZR, minus_IZR. lra. Qed.
Definition turned_of (table : nat -> nat -> turn) (j : nat) (v : vector) : option vector :=
  if (w =? 0)%nat then Some v
  else if (w <=? dh)%nat && Nat.even w then
    Some (gathered dh (fun c =>
      let own k := (mid v k, err v) in
      if (c <? w)%nat then
        let t := table j (pair_of A c) in
        let cos_t := (cosine t, off t) in
        let sin_t := (sine t, off t) in
        if is_first A c then less (times p (own c) cos_t) (times p (own (c + stride A)%nat) sin_t)
        else sum_of (times p (own c) cos_t) (times p (own (c - stride A)%nat) sin_t)
      else own c))
  else None.
(* Of all heads; W: the norm's weights. *)
Definition compared (heads : nat) (W : nat -> Z) : nat -> vector -> option vector :=
  if negb (use_qk_norm A) && (w =? 0)%nat then fun _ v => Some v
  else
    let normed := qk_normed_of W in
    let table := turns in
    fun j v => by_heads heads (fun h => match normed (part h v) with None => None | Some y => turned_of table j y end).

(* In real numbers. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Notation real := (real e).
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Lemma part_holds heads h v f : (h < heads)%nat -> holds p (heads * dh) v f -> holds p dh (part h v) (fun c => f (h * dh +
  c)%nat).
Proof. intros Hh F c Hc. cbn [part mid err]. apply F. nia. Qed.
Lemma by_heads_holds n f z g : by_heads n f = Some z -> (forall h v, (h < n)%nat -> f h = Some v -> holds p dh v (g h)) ->
  holds p (n * dh) z (fun i => g (i / dh)%nat (i mod dh)%nat).
Proof.
  unfold by_heads. cbv zeta. set (heads := memo1 n f). destruct (forallb _ (seq 0 n)) eqn:F; [|discriminate].
  intros S Ok. injection S as <-. intros i Hi. cbn [mid err]. rewrite memo1_eq.
  rewrite forallb_forall in F. assert (Hh : (i / dh < n)%nat) by (apply Nat.div_lt_upper_bound; lia).
  specialize (F (i / dh)%nat ltac:(apply in_seq; lia)). set (head h := match heads h with Some v => v | None => Vector no_bias
    0 end).
  assert (Q : heads (i / dh)%nat = f (i / dh)%nat) by exact (memo1_eq n f _).
  assert (Hm : mid (head (i / dh)%nat) = mid (match heads (i / dh)%nat with Some v => v | None => Vector no_bias 0 end)) by
    reflexivity.
  destruct (heads (i / dh)%nat) as [v|] eqn:E; [|discriminate].
  assert (X := Ok (i / dh)%nat v Hh (eq_sym Q) (i mod dh)%nat ltac:(apply Nat.mod_upper_bound; lia)).
  eapply Rle_trans; [exact X|]. apply Rle_trans with (IZR (err (head (i / dh)%nat))); [unfold head; rewrite E; lra|].
  apply (zmax_IZR n (fun h => err (head h))); auto.
Qed.
Lemma by_heads_some n f z h : by_heads n f = Some z -> (h < n)%nat -> exists v, f h = Some v.
Proof.
  unfold by_heads. cbv zeta. destruct (forallb _ (seq 0 n)) eqn:F; [|discriminate]. intros _ Hh.
  rewrite forallb_forall in F. specialize (F h ltac:(apply in_seq; lia)). rewrite memo1_eq in F.
  destruct (f h) as [v|]; [eauto|discriminate].
Qed.

Lemma divided_holds n v y r : (0 < n)%nat -> holds p n v r -> divided n v = Some y ->
  holds p n y (fun i => r i / root A n r) /\ root A n r <> 0.
Proof.
  intros Hn F. unfold divided. destruct (root_of p n _ _ v) as [[low high]|] eqn:E; [|discriminate]. intros S. injection S as
    <-.
  destruct (root_of_holds p Hp n _ _ v r low high Hn (proj1 Heps) (proj2 Heps) F E) as [L B].
  change (root_mean n (fst (eps A)) (snd (eps A)) r) with (root A n r) in B. split.
  - now apply over_holds.
  - intros Z. rewrite Z, Rmult_0_l in B. apply IZR_lt in L. lra.
Qed.
Lemma qk_normed_holds W v y f : holds p dh v f -> qk_normed_of W v = Some y ->
  holds p dh y (qk_normed A (fun c => real (W c)) f) /\ (use_qk_norm A = true -> root A dh f <> 0).
Proof.
  intros F. unfold qk_normed_of, qk_normed. cbv zeta. destruct (use_qk_norm A).
  - destruct (divided dh v) as [c|] eqn:E; [|discriminate]. intros S. injection S as <-.
    destruct (divided_holds _ _ _ _ Hdh F E) as [D N]. split; auto.
    eapply holds_ext; [|exact (scaled_by_holds p Hp e dh _ _ c _ He D)]. intros i _. cbn beta. unfold real, no_bias, Rdiv.
    rewrite Rmult_0_l. ring.
  - intros S. injection S as <-. split; [auto|discriminate].
Qed.
Lemma turns_ok j s : turn_ok p (angle A j s) (turns j s).
Proof. unfold turns. cbv zeta. rewrite memo2_eq, memo1_eq. now apply turn_of_ok. Qed.
Lemma turned_holds j v y f : holds p dh v f -> turned_of turns j v = Some y -> holds p dh y (turned A j f).
Proof.
  intros F. unfold turned_of, turned. destruct (Nat.eqb_spec w 0) as [Z|Z].
  { intros S. injection S as <-. eapply holds_ext; [|exact F]. intros i _. now rewrite Z. }
  destruct ((w <=? dh)%nat && Nat.even w) eqn:E; [|discriminate]. apply andb_prop in E as [E1 E2]. apply Nat.leb_le in E1.
  apply Nat.even_spec in E2 as [half E2].
  intros S. injection S as <-. apply gathered_holds. intros c Hc. cbv beta zeta. destruct (Nat.ltb_spec c w) as [L|L]; [|now
    apply F].
  destruct (turns_ok j (pair_of A c)) as [C S].
  assert (Half : (w / 2 = half)%nat) by (rewrite E2, Nat.mul_comm; now apply Nat.div_mul).
  destruct (is_first A c) eqn:Fi.
  - assert (O0 : (c + stride A < dh)%nat).
    { unfold is_first, stride in *. rewrite Half in *. destruct (rotary_adjacent_pairs A).
      - apply Nat.even_spec in Fi as [u Fi]. lia.
      - apply Nat.ltb_lt in Fi. lia. }
    assert (X := times_ok p Hp _ _ (mid v c, err v) (cosine (turns j (pair_of A c)), off (turns j (pair_of A c))) (F c Hc) C).
    assert (Y := times_ok p Hp _ _ (mid v (c + stride A)%nat, err v) (sine (turns j (pair_of A c)), off (turns j (pair_of A c)))
      (F _ O0) S).
    now apply less_ok.
  - assert (X := times_ok p Hp _ _ (mid v c, err v) (cosine (turns j (pair_of A c)), off (turns j (pair_of A c))) (F c Hc) C).
    assert (Y := times_ok p Hp _ _ (mid v (c - stride A)%nat, err v) (sine (turns j (pair_of A c)), off (turns j (pair_of A c)))
      (F (c - stride A)%nat (Nat.le_lt_trans _ _ _ (Nat.le_sub_l c (stride A)) Hc)) S).
    now apply sum_of_ok.
Qed.
Lemma compared_holds heads W j v y f : holds p (heads * dh) v (fun i => f (i / dh)%nat (i mod dh)%nat) ->
  compared heads W j v = Some y ->
  holds p (heads * dh) y (fun i => turned A j (qk_normed A (fun c => real (W c)) (f (i / dh)%nat)) (i mod dh)) /\
  (use_qk_norm A = true -> forall h, (h < heads)%nat -> root A dh (f h) <> 0).
Proof.
  intros F. unfold compared. destruct (negb (use_qk_norm A) && (w =? 0)%nat) eqn:E.
  { intros S. injection S as <-. apply andb_prop in E as [E1 E2]. apply negb_true_iff in E1. apply Nat.eqb_eq in E2.
    split; [|congruence]. eapply holds_ext; [|exact F]. intros i _. unfold turned, qk_normed. now rewrite E1, E2. }
  cbv zeta. intros B.
  assert (Part : forall h, (h < heads)%nat -> holds p dh (part h v) (f h)).
  { intros h Hh. eapply holds_ext; [|exact (part_holds heads h v _ Hh F)]. intros c Hc. cbn beta. now rewrite flat_div,
      flat_mod. }
  assert (Each : forall h u, (h < heads)%nat -> match qk_normed_of W (part h v) with None => None | Some y => turned_of turns j
    y
    end = Some u -> holds p dh u (turned A j (qk_normed A (fun c => real (W c)) (f h))) /\ (use_qk_norm A = true -> root A dh (f
    h) <> 0)).
  { intros h u Hh U. destruct (qk_normed_of W (part h v)) as [n|] eqn:N; [|discriminate].
    destruct (qk_normed_holds W _ _ _ (Part h Hh) N) as [G1 G2]. split; auto. now apply (turned_holds j n u). }
  split.
  - apply (by_heads_holds heads _ y (fun h => turned A j (qk_normed A (fun c => real (W c)) (f h))) B). intros h u Hh U.
    exact (proj1 (Each h u Hh U)).
  - intros Use h Hh. destruct (by_heads_some _ _ _ h B Hh) as [u U]. exact (proj2 (Each h u Hh U) Use).
Qed.
End HeadVectors.
