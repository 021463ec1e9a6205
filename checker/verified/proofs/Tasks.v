(* Min-of-k (FORMAT.md 3.1, "Numbers"): with tokens and outputs numbered from the largest down, it is max-of-k. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains GroupChains Tables.
Import ListNotations.

(* Token t has the number V-1-t, and so has output t if it is a token. *)
Definition flip (V t : nat) : nat := if (t <? V)%nat then (V - 1 - t)%nat else t.

Definition renumbered (M : model) : model :=
  Model (nV M) (nO M) (nK M) (nd M) (nh M)
    (fun t => WE M (flip (nV M) t)) (WP M) (WQ M) (bQ M) (WK M) (bK M) (WV M) (bV M) (WO M) (bO M)
    (fun i o => WU M i (flip (nV M) o)) (fun o => bU M (flip (nV M) o)) (margin M).

(* The statement: of all sequences of K tokens below V, how many are right about their smallest token. *)
Definition min_label (x : list nat) : nat := fold_right Nat.min (hd O x) x.
Definition correct_min (M : model) (x : list nat) : bool := right M x (min_label x).
Definition n_correct_min (M : model) : Z := Z.of_nat (length (filter (correct_min M) (all_lists (nV M) (nK M)))).

Lemma flip_flip V t : flip V (flip V t) = t.
Proof.
  unfold flip. destruct (Nat.ltb_spec t V) as [H|H].
  - rewrite (proj2 (Nat.ltb_lt (V - 1 - t) V)) by lia. lia.
  - rewrite (proj2 (Nat.ltb_ge t V)); lia.
Qed.
Lemma flip_lt V t : (t < V)%nat -> flip V t = (V - 1 - t)%nat.
Proof. intros H. unfold flip. now rewrite (proj2 (Nat.ltb_lt t V)). Qed.
Lemma flip_below V O t : (V <= O)%nat -> (t < O)%nat -> (flip V t < O)%nat.
Proof. intros. unfold flip. destruct (Nat.ltb_spec t V); lia. Qed.

Section Logits.
Variable M : model.
Variable x : list nat.
Hypothesis Hlen : length x = nK M.
Hypothesis HK : (0 < nK M)%nat.
Notation f := (flip (nV M)).
Notation N := (renumbered M).
Notation y := (map f x).

Lemma emb_flip j i : (j < nK M)%nat -> emb N x j i = emb M y j i.
Proof.
  intros H. unfold emb. cbn [WE WP renumbered]. rewrite (nth_indep y 0%nat (f 0%nat)) by (rewrite map_length; lia).
  now rewrite map_nth.
Qed.

Lemma score_flip j : (j < nK M)%nat -> score N x j = score M y j.
Proof.
  intros H. unfold score. cbn [nh renumbered]. f_equal. apply rsum_ext; intros h _. unfold query, key.
  cbn [nd nK WQ bQ WK bK renumbered]. f_equal; f_equal; apply rsum_ext; intros i _; rewrite emb_flip; auto; lia.
Qed.

Lemma attention_flip j : (j < nK M)%nat -> attention N x j = attention M y j.
Proof.
  intros H. unfold attention. rewrite score_flip by auto. cbn [nK renumbered]. f_equal. apply rsum_ext; intros i Hi.
  now rewrite score_flip.
Qed.

Lemma residual_flip i : residual N x i = residual M y i.
Proof.
  unfold residual. cbn [nK nh nd WO bO renumbered]. rewrite emb_flip by lia. f_equal. f_equal.
  apply rsum_ext; intros h _. f_equal. apply rsum_ext; intros j Hj. rewrite attention_flip by auto. f_equal.
  unfold value. cbn [nd WV bV renumbered]. f_equal. apply rsum_ext; intros k _. now rewrite emb_flip.
Qed.

Lemma logit_flip o : logit N x o = logit M y (f o).
Proof.
  unfold logit. cbn [nd WU bU renumbered]. f_equal. apply rsum_ext; intros i _. now rewrite residual_flip.
Qed.
End Logits.

Open Scope Z_scope.
Lemma zsum_first n F : zsum (S n) F = F O + zsum n (fun i => F (S i)).
Proof. induction n; [simpl; lia|]. change (zsum (S n) F + F (S n) = F O + (zsum n (fun i => F (S i)) + F (S n))). lia. Qed.
Lemma zsum_flip n F : zsum n (fun t => F (flip n t)) = zsum n F.
Proof.
  rewrite (zsum_ext n _ (fun t => F (n - 1 - t)%nat)) by (intros; now rewrite flip_lt).
  induction n; [reflexivity|]. rewrite zsum_first. cbn [zsum]. rewrite <- IHn, Z.add_comm. f_equal.
  - apply zsum_ext; intros; f_equal; lia.
  - f_equal; lia.
Qed.
Lemma cnt_flip V n : forall P, cnt V all n (fun x => P (map (flip V) x)) = cnt V all n P.
Proof.
  induction n; intros P; [reflexivity|]. cbn [cnt all map].
  rewrite <- (zsum_flip V (fun t => cnt V all n (fun f => P (t :: f)))).
  apply zsum_ext; intros t _. apply (IHn (fun g => P (flip V t :: g))).
Qed.
Close Scope Z_scope.
Open Scope nat_scope.

Lemma min_label_in x : x <> [] -> In (min_label x) x /\ forall t, In t x -> min_label x <= t.
Proof.
  intros H. destruct x as [|a r]; [easy|]. unfold min_label. cbn [hd]. clear H.
  assert (G : forall l, (In (fold_right Nat.min a l) l \/ fold_right Nat.min a l = a) /\
                        forall t, In t l -> fold_right Nat.min a l <= t).
  { induction l as [|b l [I L]]; cbn [fold_right]; [split; [auto|intros ? []]|]. split.
    - destruct (Nat.min_spec b (fold_right Nat.min a l)) as [[_ ->]|[_ ->]]; [left; left; auto|].
      destruct I; [left; right; auto|auto].
    - intros t [->|T]; [lia|]. specialize (L t T). lia. }
  destruct (G (a :: r)) as [[I|E] L]; split; auto. rewrite E. left; auto.
Qed.

Lemma max_flip V x : x <> [] -> Forall (fun t => t < V) x -> max_label x = flip V (min_label (map (flip V) x)).
Proof.
  intros Hx HF. rewrite Forall_forall in HF.
  destruct (min_label_in (map (flip V) x)) as [I L]; [destruct x; easy|].
  apply in_map_iff in I as (u & E & Iu). rewrite <- E, flip_flip. apply Nat.le_antisymm.
  - apply max_label_le. intros t It. specialize (L _ (in_map (flip V) x t It)). rewrite <- E in L.
    rewrite !flip_lt in L by auto. assert (A := HF t It). assert (B := HF u Iu). lia.
  - now apply in_le_max.
Qed.

(* A bound for max-of-k on the renumbered model is one for min-of-k on the model. *)
Theorem min_is_max M : 0 < nK M -> nV M <= nO M -> n_correct_min M = n_correct (renumbered M).
Proof.
  intros HK HO. unfold n_correct_nth, n_correct_min. rewrite <- !cnt_spec. cbn [nV nK renumbered].
  rewrite <- (cnt_flip (nV M) (nK M) (correct_min M)). apply cnt_ext. intros x [Hlen HF].
  assert (F : Forall (fun t => t < nV M) x) by (eapply Forall_impl; [|exact HF]; cbn; tauto).
  assert (Nx : x <> []) by (intros ->; cbn in Hlen; lia).
  apply eq_true_iff_eq. unfold correct_min, correct_nth. cbn [nth_label].
  rewrite (right_iff M), (right_iff (renumbered M)), (max_flip (nV M) x Nx F).
  set (m := min_label _). unfold predicts. cbn [nO margin renumbered]. split; intros H o Ho N.
  - rewrite !logit_flip, flip_flip by auto. apply H.
    + now apply flip_below.
    + intros E. apply N. now rewrite <- E, flip_flip.
  - specialize (H (flip (nV M) o) (flip_below _ _ _ HO Ho)). rewrite !logit_flip, !flip_flip in H by auto. apply H.
    intros E. apply N. rewrite <- (flip_flip (nV M) o), E. apply flip_flip.
Qed.

(* The functions of Tables.v on weights in the order of the numbers. *)
Section Smallest.
Variables (V O K d dh : nat) (e p rp mn md : Z) (g terms : nat).
Variables zWE zWP zWQ zWK zWV zWO zWU : nat -> nat -> Z.
Variables zbQ zbK zbV zbO zbU : nat -> Z.
Hypothesis HK : 0 < K.
Hypothesis HO : V <= O.
Notation M := (real_model V O K d dh e mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbK zbV zbO zbU).
Notation tokens := (fun t => zWE (flip V t)).
Notation outputs := (fun i o => zWU i (flip V o)).
Notation biases := (fun o => zbU (flip V o)).

Theorem certified_min_sound blocks claim source rows :
  (certified V O K d dh e p rp mn md g terms tokens zWP zWQ zWK zWV zWO outputs zbQ zbV zbO biases blocks claim source rows
   <= n_correct_min M)%Z.
Proof. rewrite (min_is_max M HK HO). exact (certified_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _ _ _ _). Qed.

Theorem certified_groups_min_sound steps blocks claim source rows :
  (certified_groups V O K d dh e p rp mn md g terms tokens zWP zWQ zWK zWV zWO outputs zbQ zbV zbO biases source rows 0 steps blocks claim
   <= n_correct_min M)%Z.
Proof. rewrite (min_is_max M HK HO). exact (certified_groups_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _ _ _ _ _ _). Qed.

Theorem certified_brute_min_sound source :
  (certified_brute V O K d dh e p rp mn md g terms tokens zWP zWQ zWK zWV zWO outputs zbQ zbV zbO biases source <= n_correct_min M)%Z.
Proof. rewrite (min_is_max M HK HO). exact (certified_brute_sound _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ zbK _ _ _ _). Qed.
End Smallest.
