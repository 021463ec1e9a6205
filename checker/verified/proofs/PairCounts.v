(* What the extracted checker calls for networks on two inputs: from the bits of the weights, and hints, to a number
   of pairs. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool FunctionalExtensionality.
From CompactProofs Require Import Semantics Counting PrefixChains Floats TwoInputs ListSums HiddenLayer LayerTables.
Import ListNotations.

(* Tensors of heads have the rows of all heads below each other; a bias is one row, and may be absent. *)
Record mlp_weights := MlpWeights { mLeft : tensor; mRight : tensor; mBin : tensor; mWU : tensor; mBU : tensor }.
Record uniform_weights := UniformWeights { uWE : tensor; uWP : tensor; uWV : tensor; uBV : tensor; uWO : tensor; uBO : tensor;
  uWin : tensor; uBin : tensor; uWout : tensor; uBout : tensor; uWU : tensor; uBU : tensor }.

(* The networks, their weights being what IEEE 754 says of their bits. *)
Definition float_mlp (m : nat) (W : mlp_weights) : nat -> nat -> nat -> R :=
  mlp_logit m (float (mLeft W)) (float (mRight W)) (float (mBin W) 0) (float (mWU W)) (float (mBU W) 0).
Definition float_uniform (n d dh H m : nat) (W : uniform_weights) : nat -> nat -> nat -> R :=
  uniform_logit n d dh H m (float (uWE W)) (float (uWP W)) (fun h i k => float (uWV W) (h * d + i) k) (float (uBV W))
    (fun h k i => float (uWO W) (h * dh + k) i) (float (uBO W) 0) (float (uWin W)) (float (uBin W) 0) (float (uWout W))
    (float (uBout W) 0) (float (uWU W)) (float (uBU W) 0).

(* A step of a certificate: of which neurons, and which pairs it claims, perhaps with their mirror images. *)
Record claim := Claim { chosen : nat -> bool; marked : nat -> nat -> bool; mirrored : bool }.

Section Layer.
Variables (n m O : nat) (T : hidden) (table : nat -> nat -> nat).
Definition proved (c : claim) : nat -> nat -> bool := evaluated n m O T table (chosen c).
Definition mirrored_too (both : bool) (known : nat -> nat -> bool) : nat -> nat -> bool :=
  let both := both && symmetric n m T in
  fun a b => known a b || (both && known b a && (table a b =? table b a)%nat).
Definition of_claim (c : claim) : nat -> nat -> bool :=
  let proves := proved c in
  mirrored_too (mirrored c) (memo2 n n (fun a b => marked c a b && (table a b <? O)%nat && proves a b)).
Definition found (claims : list claim) : nat -> nat -> bool :=
  let each := map of_claim claims in fun a b => (table a b <? O)%nat && existsb (fun f => f a b) each.

Lemma found_sound claims a b : (a < n)%nat -> (b < n)%nat -> found claims a b = true ->
  (table a b < O)%nat /\ leads m O T table a b.
Proof.
  intros A B F. unfold found in F. apply andb_prop in F as [C F]. apply Nat.ltb_lt in C. split; auto.
  apply existsb_exists in F as (f & I & F). apply in_map_iff in I as (c & <- & _). unfold of_claim, mirrored_too in F.
  rewrite !memo2_eq in F.
  assert (K : forall x y, (x < n)%nat -> (y < n)%nat -> marked c x y && (table x y <? O)%nat
    && proved c x y = true -> leads m O T table x y).
  { intros x y X Y P. apply andb_prop in P as [P E]. apply andb_prop in P as [_ P]. apply Nat.ltb_lt in P.
    now apply (evaluated_sound n m O T table (chosen c) x y). }
  apply orb_prop in F as [F|F]; [now apply K|]. apply andb_prop in F as [F E]. apply andb_prop in F as [F P].
  apply andb_prop in F as [_ S].
  apply Nat.eqb_eq in E. apply (mirror n m O T table b a S); auto.
Qed.
End Layer.

Section Mlp.
Variables (n m O : nat) (e mn md : Z) (W : mlp_weights) (table : nat -> nat -> nat).
Definition vector (k : nat) (t : tensor) : bool := shaped 0 0 t || shaped 1 k t.
Definition mlp_fit : bool :=
  (0 <=? e)%Z && (0 <? md)%Z && shaped n m (mLeft W) && shaped n m (mRight W) && vector m (mBin W) && shaped m O (mWU W)
    && vector O (mBU W)
  && forallb (exact e) [mLeft W; mRight W; mBin W; mWU W; mBU W].
Definition count_mlp_pairs (claims : list claim) : Z :=
  if mlp_fit then
    let tables := mlp_tables e mn md (integers e (mLeft W)) (integers e (mRight W)) (integers e (mBin W) 0) (integers e (mWU W))
                    (integers e (mBU W) 0) in
    count_pairs n (found n m O tables table claims)
  else 0%Z.

Lemma up e' t : (0 <= e')%Z -> exact e' t = true -> forall i j, IZR (integers e' t i j) = (IZR (2 ^ e') * float t i j)%R.
Proof.
  intros He X i j. rewrite <- (integers_value e' t i j He X).
  assert (P : (0 < IZR (2 ^ e'))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia). field. lra.
Qed.
Lemma count_nonneg k f : (0 <= count_pairs k f)%Z.
Proof. apply zsum_nonneg; intros. apply zsum_nonneg; intros. destruct (f _ _); cbn; lia. Qed.
Lemma right_if_leads S M T logit a b : (0 < S)%Z -> need T = (mn * S / md)%Z -> (0 < md)%Z ->
  (forall z, IZR (value M T a b z) = (IZR S * logit a b z)%R) -> (table a b < O)%nat -> leads M O T table a b ->
  right_pair O (IZR mn / IZR md) table logit a b = true.
Proof.
  intros HS N D V C L. apply right_pair_iff. split; auto. intros z Hz Nz. specialize (L z Hz Nz). rewrite N in L.
  apply (need_ok mn md S _ D) in L. rewrite minus_IZR, !V in L. apply IZR_lt in HS. nra.
Qed.

Theorem count_mlp_pairs_sound claims :
  (count_mlp_pairs claims <= n_right_pairs n O (IZR mn / IZR md) table (float_mlp m W))%Z.
Proof.
  unfold count_mlp_pairs. destruct mlp_fit eqn:F; [|apply count_nonneg]. unfold mlp_fit in F.
  repeat (apply andb_prop in F as [F ?X]).
  apply Z.leb_le in F. apply Z.ltb_lt in X5. rewrite forallb_forall in X.
  assert (U : forall t, In t [mLeft W; mRight W; mBin W; mWU W; mBU W] -> forall i j,
    IZR (integers e t i j) = (IZR (2 ^ e) * float t i j)%R).
  { intros t I. apply up; auto. }
  apply count_pairs_le. intros a b A B K. apply found_sound in K as [C L]; auto.
  apply (right_if_leads (2 ^ (2 * e)) m _ (float_mlp m W) a b) in L; auto; [apply Z.pow_pos_nonneg; lia|].
  intros z. replace (IZR (2 ^ (2 * e))) with (IZR (2 ^ e) * IZR (2 ^ e))%R by (rewrite <- mult_IZR, <- Z.pow_add_r by lia;
    do 2 f_equal; lia).
  apply mlp_value; auto; intros; apply U; cbn; auto 20.
Qed.
End Mlp.

Section Uniform.
Variables (n d dh H m O : nat) (e mn md : Z) (W : uniform_weights) (table : nat -> nat -> nat).
Definition uniform_fit : bool :=
  (0 <=? e)%Z && (0 <? md)%Z && shaped (S n) d (uWE W) && shaped 3 d (uWP W) && shaped (H * d) dh (uWV W)
  && (shaped 0 0 (uBV W) || shaped H dh (uBV W)) && shaped (H * dh) d (uWO W) && vector d (uBO W) && shaped d m (uWin W)
    && vector m (uBin W)
  && shaped m d (uWout W) && vector d (uBout W) && shaped d O (uWU W) && vector O (uBU W)
  && forallb (exact e) [uWE W; uWP W; uWV W; uBV W; uWO W; uBO W; uWin W; uBin W; uWout W; uBout W; uWU W; uBU W].
Definition count_uniform_pairs (claims : list claim) : Z :=
  if uniform_fit then
    let z := integers e in
    let wv := z (uWV W) in
    let wo := z (uWO W) in
    let tables := uniform_tables n d dh H m O e mn md (z (uWE W)) (z (uWP W)) (fun h i k => wv (h * d + i)%nat k) (z (uBV W))
      (fun h k i => wo (h * dh + k)%nat i) (z (uBO W) 0%nat) (z (uWin W)) (z (uBin W) 0%nat) (z (uWout W)) (z (uBout W) 0%nat)
        (z (uWU W))
      (z (uBU W) 0%nat) in
    count_pairs n (found n m O tables table claims)
  else 0%Z.

Theorem count_uniform_pairs_sound claims :
  (count_uniform_pairs claims <= n_right_pairs n O (IZR mn / IZR md) table (float_uniform n d dh H m W))%Z.
Proof.
  unfold count_uniform_pairs. destruct uniform_fit eqn:F; [|apply count_nonneg]. unfold uniform_fit in F.
  apply andb_prop in F as [F X].
  repeat (apply andb_prop in F as [F ?Y]). apply Z.leb_le in F. apply Z.ltb_lt in Y11. rewrite forallb_forall in X.
  assert (U : forall t, In t [uWE W; uWP W; uWV W; uBV W; uWO W; uBO W; uWin W; uBin W; uWout W; uBout W; uWU W; uBU W] ->
    forall i j, IZR (integers e t i j) = (IZR (2 ^ e) * float t i j)%R).
  { intros t I. apply up; auto. }
  apply count_pairs_le. intros a b A B K. apply found_sound in K as [C L]; auto.
  apply (right_if_leads O mn md table (3 * 2 ^ (6 * e)) m _ (float_uniform n d dh H m W) a b) in L; auto;
    [assert (P := Z.pow_pos_nonneg 2 (6 * e)); lia|].
  intros z. rewrite mult_IZR. replace (IZR (2 ^ (6 * e))) with (IZR (2 ^ (e + e + e + e + e + e))) by (do 2 f_equal; lia).
  rewrite !Z.pow_add_r, !mult_IZR by lia. cbv zeta. rewrite (Rmult_comm 3).
  apply uniform_value; auto; intros; apply U; cbn; auto 20.
Qed.
End Uniform.
