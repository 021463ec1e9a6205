(* Semantics over the reals of a one-layer, one-head, attention-only transformer (FORMAT.md 2.4), and the theorem
   that clears the softmax's denominator (rule additive-tables). *)
From Coq Require Import Reals Lra Lia List Arith.
Import ListNotations.
Open Scope R_scope.

Fixpoint rsum (n : nat) (f : nat -> R) : R :=
  match n with O => 0 | S k => rsum k f + f k end.

Lemma rsum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> rsum n f = rsum n g.
Proof. induction n; simpl; intros H; auto. rewrite IHn, H; auto. Qed.
Lemma rsum_plus n f g : rsum n (fun i => f i + g i) = rsum n f + rsum n g.
Proof. induction n; simpl; [ring|]. rewrite IHn; ring. Qed.
Lemma rsum_minus n f g : rsum n (fun i => f i - g i) = rsum n f - rsum n g.
Proof. induction n; simpl; [ring|]. rewrite IHn; ring. Qed.
Lemma rsum_scal n c f : rsum n (fun i => c * f i) = c * rsum n f.
Proof. induction n; simpl; [ring|]. rewrite IHn; ring. Qed.
Lemma rsum_scal_r n c f : rsum n (fun i => f i * c) = rsum n f * c.
Proof. induction n; simpl; [ring|]. rewrite IHn; ring. Qed.
Lemma rsum_0 n : rsum n (fun _ => 0) = 0.
Proof. induction n; simpl; [ring|]. rewrite IHn; ring. Qed.
Lemma rsum_swap n m f : rsum n (fun i => rsum m (f i)) = rsum m (fun j => rsum n (fun i => f i j)).
Proof.
  induction n; simpl. { now rewrite rsum_0. }
  rewrite IHn, <- rsum_plus. apply rsum_ext; auto.
Qed.
Lemma rsum_le n f g : (forall i, (i < n)%nat -> f i <= g i) -> rsum n f <= rsum n g.
Proof. induction n; simpl; intros H; [lra|]. apply Rplus_le_compat; auto. Qed.
Lemma rsum_pos n f : (0 < n)%nat -> (forall i, (i < n)%nat -> 0 < f i) -> 0 < rsum n f.
Proof.
  intros Hn H. destruct n; [lia|]. simpl.
  assert (0 <= rsum n f). { rewrite <- (rsum_0 n). apply rsum_le. intros; left; auto. }
  specialize (H n ltac:(lia)). lra.
Qed.

(* The architecture: sizes and real weights (absent biases are zero); and the statement's margin, by which a right
   output must lead. *)
Record model := Model {
  nV : nat; nO : nat; nK : nat; nd : nat; nh : nat;
  WE : nat -> nat -> R; WP : nat -> nat -> R;
  WQ : nat -> nat -> R; bQ : nat -> R; WK : nat -> nat -> R; bK : nat -> R;
  WV : nat -> nat -> R; bV : nat -> R; WO : nat -> nat -> R; bO : nat -> R;
  WU : nat -> nat -> R; bU : nat -> R;
  margin : R }.

Section Semantics.
Variable M : model.
Notation K := (nK M). Notation d := (nd M). Notation dh := (nh M).

Definition emb (x : list nat) (j i : nat) : R := WE M (nth j x 0%nat) i + WP M j i.
Definition query (x : list nat) (h : nat) : R := rsum d (fun i => emb x (K - 1) i * WQ M i h) + bQ M h.
Definition key (x : list nat) (j h : nat) : R := rsum d (fun i => emb x j i * WK M i h) + bK M h.
Definition value (x : list nat) (j h : nat) : R := rsum d (fun i => emb x j i * WV M i h) + bV M h.
Definition score (x : list nat) (j : nat) : R := rsum dh (fun h => query x h * key x j h) / sqrt (INR dh).
Definition attention (x : list nat) (j : nat) : R := exp (score x j) / rsum K (fun i => exp (score x i)).
Definition residual (x : list nat) (i : nat) : R :=
  emb x (K - 1) i + rsum dh (fun h => rsum K (fun j => attention x j * value x j h) * WO M h i) + bO M i.
Definition logit (x : list nat) (o : nat) : R := rsum d (fun i => residual x i * WU M i o) + bU M o.

(* Right about output m: it exceeds every other output by more than the margin. *)
Definition predicts (x : list nat) (m : nat) : Prop :=
  forall o, (o < nO M)%nat -> o <> m -> logit x o + margin M < logit x m.

(* Tables. *)
Definition qrow (q h : nat) : R := rsum d (fun i => (WE M q i + WP M (K - 1) i) * WQ M i h) + bQ M h.
Definition keyE (t h : nat) : R := rsum d (fun i => WE M t i * WK M i h).
Definition keyP (j h : nat) : R := rsum d (fun i => WP M j i * WK M i h).
Definition token_score (q t : nat) : R := rsum dh (fun h => qrow q h * keyE t h) / sqrt (INR dh).
Definition position_score (q j : nat) : R := rsum dh (fun h => qrow q h * keyP j h) / sqrt (INR dh).
Definition WOU (h o : nat) : R := rsum d (fun i => WO M h i * WU M i o).
Definition valE (t h : nat) : R := rsum d (fun i => WE M t i * WV M i h).
Definition valP (j h : nat) : R := rsum d (fun i => WP M j i * WV M i h).
Definition token_value (t o : nat) : R := rsum dh (fun h => valE t h * WOU h o).
Definition position_value (j o : nat) : R := rsum dh (fun h => valP j h * WOU h o).
Definition direct (q o : nat) : R :=
  rsum d (fun i => (WE M q i + WP M (K - 1) i + bO M i) * WU M i o) + bU M o + rsum dh (fun h => bV M h * WOU h o).

Definition v (q t j o : nat) : R := direct q o + token_value t o + position_value j o.
Definition w (r : R) (q t j : nat) : R := exp (token_score q t + position_score q j - r).
Definition last (x : list nat) : nat := nth (K - 1) x 0%nat.

Lemma score_split x j :
  score x j = token_score (last x) (nth j x 0%nat) + position_score (last x) j
              + rsum dh (fun h => qrow (last x) h * bK M h) / sqrt (INR dh).
Proof.
  unfold score, token_score, position_score, Rdiv.
  rewrite <- !Rmult_plus_distr_r, <- !rsum_plus. f_equal. apply rsum_ext; intros h _.
  change (query x h) with (qrow (last x) h). unfold key, keyE, keyP, emb.
  rewrite <- !Rmult_plus_distr_l. f_equal. rewrite <- rsum_plus. f_equal. apply rsum_ext; intros; ring.
Qed.

Lemma attention_sum x : (0 < K)%nat -> rsum K (attention x) = 1.
Proof.
  intros HK. unfold attention, Rdiv. rewrite rsum_scal_r. apply Rinv_r.
  apply Rgt_not_eq, rsum_pos; auto. intros; apply exp_pos.
Qed.

Lemma attention_weights x j r : (0 < K)%nat ->
  attention x j = w r (last x) (nth j x 0%nat) j / rsum K (fun i => w r (last x) (nth i x 0%nat) i).
Proof.
  intros HK. unfold attention.
  set (c := rsum dh (fun h => qrow (last x) h * bK M h) / sqrt (INR dh) + r).
  assert (E : forall i, exp (score x i) = w r (last x) (nth i x 0%nat) i * exp c).
  { intros i. unfold w, c. rewrite <- exp_plus, score_split. f_equal. ring. }
  rewrite E. erewrite rsum_ext by (intros; apply E). rewrite rsum_scal_r.
  assert (P1 := exp_pos c).
  assert (P2 : 0 < rsum K (fun i => w r (last x) (nth i x 0%nat) i)) by (apply rsum_pos; auto; intros; apply exp_pos).
  field. lra.
Qed.

Lemma logit_split x o : (0 < K)%nat ->
  logit x o = rsum K (fun j => attention x j * v (last x) (nth j x 0%nat) j o).
Proof.
  intros HK. unfold logit, residual.
  assert (A : rsum d (fun i => rsum dh (fun h => rsum K (fun j => attention x j * value x j h) * WO M h i) * WU M i o)
              = rsum K (fun j => attention x j * rsum dh (fun h => value x j h * WOU h o))).
  { transitivity (rsum dh (fun h => rsum K (fun j => attention x j * value x j h) * WOU h o)).
    - erewrite rsum_ext by (intros; symmetry; apply rsum_scal_r). rewrite rsum_swap.
      apply rsum_ext; intros h _. unfold WOU. rewrite <- rsum_scal. apply rsum_ext; intros; ring.
    - erewrite rsum_ext by (intros; symmetry; apply rsum_scal_r). rewrite rsum_swap.
      apply rsum_ext; intros j _. rewrite <- rsum_scal. apply rsum_ext; intros; ring. }
  assert (B : forall j, rsum dh (fun h => value x j h * WOU h o)
              = token_value (nth j x 0%nat) o + position_value j o + rsum dh (fun h => bV M h * WOU h o)).
  { intros j. unfold token_value, position_value. rewrite <- !rsum_plus. apply rsum_ext; intros h _.
    unfold value, valE, valP, emb. rewrite <- !Rmult_plus_distr_r. f_equal. f_equal.
    rewrite <- rsum_plus. apply rsum_ext; intros; ring. }
  transitivity (direct (last x) o + rsum K (fun j => attention x j *
                 (token_value (nth j x 0%nat) o + position_value j o))).
  - erewrite rsum_ext.
    2:{ intros i _. rewrite (Rplus_comm (emb x (K-1) i)), Rplus_assoc, Rmult_plus_distr_r. reflexivity. }
    rewrite rsum_plus, A. erewrite (rsum_ext K) by (intros j _; rewrite B; apply Rmult_plus_distr_l).
    rewrite rsum_plus, rsum_scal_r, attention_sum by auto.
    unfold direct, emb, last. ring.
  - rewrite <- (Rmult_1_l (direct (last x) o)), <- (attention_sum x HK), <- rsum_scal_r, <- rsum_plus.
    apply rsum_ext; intros. unfold v. ring.
Qed.

(* Rule additive-tables: the prediction is right iff every rival's weighted sum of gaps is positive. *)
Theorem clear_denominator x m o r : (0 < K)%nat ->
  (logit x o + margin M < logit x m <->
   0 < rsum K (fun j => w r (last x) (nth j x 0%nat) j
                        * (v (last x) (nth j x 0%nat) j m - v (last x) (nth j x 0%nat) j o - margin M))).
Proof.
  intros HK. rewrite !logit_split by auto.
  set (S := rsum K (fun i => w r (last x) (nth i x 0%nat) i)).
  assert (HS : 0 < S) by (apply rsum_pos; auto; intros; apply exp_pos).
  match goal with |- _ <-> 0 < ?t => set (T := t) end.
  assert (E : rsum K (fun j => attention x j * v (last x) (nth j x 0%nat) j m)
              - rsum K (fun j => attention x j * v (last x) (nth j x 0%nat) j o) - margin M = T / S).
  { rewrite <- (Rmult_1_l (margin M)), <- (attention_sum x HK), <- (rsum_scal_r K (margin M)).
    change (T / S) with (T * / S). unfold T. rewrite <- (rsum_scal_r K (/ S)), <- !rsum_minus.
    apply rsum_ext; intros j _. rewrite (attention_weights x j r HK). fold S. field. lra. }
  assert (P : 0 < T / S <-> 0 < T).
  { split; intros H.
    - replace T with (T / S * S) by (field; lra). now apply Rmult_lt_0_compat.
    - apply Rmult_lt_0_compat; auto. now apply Rinv_0_lt_compat. }
  rewrite <- P, <- E. lra.
Qed.
End Semantics.
