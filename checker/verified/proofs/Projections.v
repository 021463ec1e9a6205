(* Inner products by few coordinates, what these leave out being bounded by lengths: the lemma of checker/rules/projections.py, and of
   the three ways in which the rule projected-tables bounds it. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains.
Open Scope R_scope.

Definition inner (n : nat) (a b : nat -> R) : R := rsum n (fun i => a i * b i).

Lemma inner_sym n a b : inner n a b = inner n b a.
Proof. apply rsum_ext; intros; ring. Qed.
Lemma inner_ext n a a' b b' : (forall i, (i < n)%nat -> a i = a' i) -> (forall i, (i < n)%nat -> b i = b' i) -> inner n a b = inner n a' b'.
Proof. intros A B. apply rsum_ext; intros i H. now rewrite A, B. Qed.
Lemma rsum_nonneg n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= rsum n f.
Proof. intros H. rewrite <- (rsum_0 n). now apply rsum_le. Qed.
Lemma inner_nonneg n a : 0 <= inner n a a.
Proof. apply rsum_nonneg; intros; apply Rle_0_sqr. Qed.
Lemma inner_combined n a b x y : inner n (fun i => a * x i + b * y i) (fun i => a * x i + b * y i)
  = a * a * inner n x x + 2 * a * b * inner n x y + b * b * inner n y y.
Proof. unfold inner. rewrite <- !rsum_scal, <- !rsum_plus. apply rsum_ext; intros; ring. Qed.

Lemma cauchy_schwarz n a b : inner n a b * inner n a b <= inner n a a * inner n b b.
Proof.
  assert (A := inner_nonneg n a). assert (B := inner_nonneg n b).
  assert (Sq : forall l, 0 <= inner n a a - 2 * l * inner n a b + l * l * inner n b b).
  { intros l. assert (H := inner_nonneg n (fun i => 1 * a i + - l * b i)). rewrite inner_combined in H. lra. }
  set (aa := inner n a a) in *. set (ab := inner n a b) in *. set (bb := inner n b b) in *.
  destruct (Req_dec bb 0) as [Z|N].
  - destruct (Req_dec ab 0) as [->|N]; [nra|]. exfalso. specialize (Sq ((aa + 1) / (2 * ab))). rewrite Z in Sq.
    replace (aa - 2 * ((aa + 1) / (2 * ab)) * ab + (aa + 1) / (2 * ab) * ((aa + 1) / (2 * ab)) * 0) with (- (1)) in Sq by (field; auto). lra.
  - assert (P : 0 < bb) by lra. specialize (Sq (ab / bb)).
    replace (aa - 2 * (ab / bb) * ab + ab / bb * (ab / bb) * bb) with ((aa * bb - ab * ab) / bb) in Sq by (field; lra).
    apply Rmult_le_compat_r with (r := bb) in Sq; [|lra]. unfold Rdiv in Sq. rewrite Rmult_assoc, Rinv_l in Sq by lra. lra.
Qed.

(* The quadratic form of a matrix is at most its Frobenius norm times the square of the length. *)
Definition form (n : nat) (N : nat -> nat -> R) (y : nat -> R) : R := rsum n (fun a => y a * rsum n (fun b => N a b * y b)).
Definition frobenius (n : nat) (N : nat -> nat -> R) : R := rsum n (fun a => rsum n (fun b => N a b * N a b)).
Lemma form_bound n N y f : 0 <= f -> frobenius n N <= f * f -> form n N y <= f * inner n y y.
Proof.
  intros F H. assert (Y := inner_nonneg n y). set (Ny := fun a => rsum n (fun b => N a b * y b)).
  assert (C : form n N y * form n N y <= inner n y y * inner n Ny Ny) by apply (cauchy_schwarz n y Ny).
  assert (D : inner n Ny Ny <= frobenius n N * inner n y y).
  { unfold frobenius. rewrite <- rsum_scal_r. apply rsum_le; intros a _. apply (cauchy_schwarz n (N a) y). }
  destruct (Rle_lt_dec (form n N y) 0) as [|P]; [nra|]. apply Rsqr_incr_0_var; [|nra]. unfold Rsqr.
  apply Rle_trans with (1 := C). apply Rle_trans with (inner n y y * (f * f * inner n y y)); [|lra].
  apply Rmult_le_compat_l; auto. apply Rle_trans with (1 := D). now apply Rmult_le_compat_r.
Qed.

Section Basis.
Variables (k r : nat) (G : nat -> nat -> R) (eps : R).
Definition overlap (a b : nat) : R := rsum k (fun i => G i a * G i b).
Hypothesis Heps : 0 <= eps.
Hypothesis Horthonormal : frobenius r (fun a b => overlap a b - if (a =? b)%nat then 1 else 0) <= eps * eps.

Definition coordinates (x : nat -> R) (a : nat) : R := rsum k (fun i => x i * G i a).
(* Of a pair of vectors: what their coordinates leave out, for kappa = 1. *)
Definition left_out (kappa : R) (x y : nat -> R) : R := inner k x y - kappa * inner r (coordinates x) (coordinates y).
Notation Q x := (left_out (1 - 3 * eps) x x).

Lemma coordinates_combined a b x y j : coordinates (fun i => a * x i + b * y i) j = a * coordinates x j + b * coordinates y j.
Proof. unfold coordinates. rewrite <- !rsum_scal, <- rsum_plus. apply rsum_ext; intros; ring. Qed.
Lemma left_out_combined kappa a b x y : left_out kappa (fun i => a * x i + b * y i) (fun i => a * x i + b * y i)
  = a * a * left_out kappa x x + 2 * a * b * left_out kappa x y + b * b * left_out kappa y y.
Proof.
  unfold left_out. rewrite inner_combined.
  rewrite (inner_ext r _ (fun j => a * coordinates x j + b * coordinates y j) _ (fun j => a * coordinates x j + b * coordinates y j))
    by (intros; apply coordinates_combined).
  rewrite inner_combined. ring.
Qed.

Lemma identity_form n y : rsum n (fun a => y a * rsum n (fun b => (if (a =? b)%nat then 1 else 0) * y b)) = inner n y y.
Proof.
  apply rsum_ext; intros a Ha. f_equal. revert Ha. induction n; intros Ha; [lia|]. cbn [rsum].
  destruct (Nat.eq_dec a n) as [->|N].
  - rewrite Nat.eqb_refl, (rsum_ext n _ (fun _ => 0)); [rewrite rsum_0; ring|]. intros i Hi. rewrite (proj2 (Nat.eqb_neq n i)) by lia. ring.
  - rewrite IHn by lia. rewrite (proj2 (Nat.eqb_neq a n)) by lia. ring.
Qed.

Lemma coordinates_short x : inner r (coordinates x) (coordinates x) <= (1 + eps) * inner k x x.
Proof.
  set (y := coordinates x). set (z := fun i => rsum r (fun a => G i a * y a)).
  assert (A : inner r y y = inner k x z).
  { unfold inner, z. erewrite rsum_ext by (intros a _; unfold y at 1, coordinates; rewrite Rmult_comm; symmetry; apply rsum_scal).
    rewrite rsum_swap. apply rsum_ext; intros i _. rewrite <- rsum_scal. apply rsum_ext; intros; ring. }
  assert (B : inner k z z = form r (fun a b => overlap a b - if (a =? b)%nat then 1 else 0) y + inner r y y).
  { rewrite <- (identity_form r y). unfold form. rewrite <- rsum_plus.
    transitivity (rsum k (fun i => rsum r (fun a => rsum r (fun b => y a * (G i a * G i b * y b))))).
    - apply rsum_ext; intros i _. unfold z at 1. rewrite <- rsum_scal_r. apply rsum_ext; intros a _. unfold z.
      rewrite <- rsum_scal. apply rsum_ext; intros; ring.
    - rewrite rsum_swap. apply rsum_ext; intros a _. rewrite <- Rmult_plus_distr_l, <- rsum_plus, rsum_swap, <- rsum_scal.
      apply rsum_ext; intros b _. rewrite rsum_scal, rsum_scal_r. unfold overlap. ring. }
  assert (C := form_bound r _ y eps Heps Horthonormal). assert (D := cauchy_schwarz k x z). rewrite <- A in D.
  assert (X := inner_nonneg k x). assert (Y := inner_nonneg r y). assert (Z := inner_nonneg k z).
  destruct (Req_dec (inner r y y) 0) as [E|N]; [rewrite E; nra|].
  apply Rmult_le_reg_r with (inner r y y); [lra|]. apply Rle_trans with (1 := D). rewrite B in *. nra.
Qed.

(* The lemma, for one vector and for two. *)
Lemma left_out_small x : - Q x <= left_out 1 x x <= Q x.
Proof.
  assert (S := coordinates_short x). assert (C := inner_nonneg r (coordinates x)). assert (X := inner_nonneg k x).
  unfold left_out. set (p := inner r _ _) in *. set (xx := inner k x x) in *. split; [|nra].
  assert ((2 - 3 * eps) * p <= 2 * xx); [|lra]. destruct (Rle_lt_dec 2 (3 * eps)); [nra|].
  apply Rle_trans with ((2 - 3 * eps) * ((1 + eps) * xx)); [apply Rmult_le_compat_l; lra|]. nra.
Qed.
Theorem left_out_bound v u s t : 0 < s -> 0 < t -> Q v <= s * s -> Q u <= t * t -> Rabs (left_out 1 v u) <= s * t.
Proof.
  intros S T V U. assert (A := left_out_small (fun i => t * v i + s * u i)). assert (B := left_out_small (fun i => t * v i + - s * u i)).
  rewrite !left_out_combined in A, B. assert (ST : 0 < s * t) by nra.
  assert (V' : t * t * Q v <= (s * t) * (s * t)) by (replace ((s * t) * (s * t)) with (t * t * (s * s)) by ring; apply Rmult_le_compat_l; nra).
  assert (U' : s * s * Q u <= (s * t) * (s * t)) by (replace ((s * t) * (s * t)) with (s * s * (t * t)) by ring; apply Rmult_le_compat_l; nra).
  apply Rabs_le. split; apply Rmult_le_reg_l with (4 * (s * t)); lra.
Qed.
(* By row differences: with g = v - G G^T v. *)
Definition across (v : nat -> R) (i : nat) : R := v i - rsum r (fun a => G i a * coordinates v a).
Lemma left_out_across v u : left_out 1 v u = inner k (across v) u.
Proof.
  transitivity (rsum k (fun i => v i * u i - rsum r (fun a => coordinates v a * (u i * G i a)))).
  - rewrite rsum_minus, rsum_swap. unfold left_out. rewrite Rmult_1_l. unfold inner. f_equal. apply rsum_ext; intros a _.
    rewrite rsum_scal. reflexivity.
  - apply rsum_ext; intros i _. unfold across. rewrite Rmult_minus_distr_r. f_equal. rewrite <- rsum_scal_r.
    apply rsum_ext; intros; ring.
Qed.
(* By a norm: v = y M. *)
Lemma left_out_form kappa n y (M : nat -> nat -> R) :
  let v := fun i => rsum n (fun j => y j * M j i) in
  left_out kappa v v = form n (fun a b => left_out kappa (M a) (M b)) y.
Proof.
  intros v. assert (C : forall a, coordinates v a = rsum n (fun j => y j * coordinates (M j) a)).
  { intros a. unfold coordinates, v. erewrite rsum_ext by (intros i _; rewrite <- rsum_scal_r; reflexivity).
    rewrite rsum_swap. apply rsum_ext; intros j _. rewrite <- rsum_scal. apply rsum_ext; intros; ring. }
  assert (I : forall w (X : nat -> nat -> R), inner w (fun i => rsum n (fun j => y j * X j i)) (fun i => rsum n (fun j => y j * X j i))
                 = rsum n (fun a => y a * rsum n (fun b => inner w (X a) (X b) * y b))).
  { intros w X. unfold inner at 1.
    transitivity (rsum w (fun i => rsum n (fun a => rsum n (fun b => y a * (X a i * X b i * y b))))).
    - apply rsum_ext; intros i _. rewrite <- rsum_scal_r. apply rsum_ext; intros a _. rewrite <- rsum_scal. apply rsum_ext; intros; ring.
    - rewrite rsum_swap. apply rsum_ext; intros a _. rewrite rsum_swap, <- rsum_scal. apply rsum_ext; intros b _.
      rewrite rsum_scal, rsum_scal_r. reflexivity. }
  unfold left_out, form. rewrite (inner_ext r _ _ _ _ (fun a _ => C a) (fun a _ => C a)). unfold v. rewrite !I.
  rewrite <- rsum_scal, <- rsum_minus. apply rsum_ext; intros a _.
  rewrite <- Rmult_assoc, (Rmult_comm kappa), Rmult_assoc, <- Rmult_minus_distr_l. f_equal. rewrite <- rsum_scal, <- rsum_minus.
  apply rsum_ext; intros b _. unfold inner; cbv beta. ring.
Qed.
End Basis.
