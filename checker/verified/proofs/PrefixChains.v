(* Rule prefix-chains (FORMAT.md 5.2), from tables of bounds: the number it establishes, and its soundness. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool FunctionalExtensionality.
From CompactProofs Require Import Semantics Counting Labels Exponential.
Import ListNotations.

(* The identity; at extraction, a table filled once. *)
Definition memo1 {A} (n : nat) (f : nat -> A) : nat -> A :=
  let l := map f (seq 0 n) in fun i => match nth_error l i with Some a => a | None => f i end.
Lemma memo1_eq {A} n (f : nat -> A) i : memo1 n f i = f i.
Proof.
  unfold memo1. rewrite nth_error_map. destruct (nth_error (seq 0 n) i) eqn:E; simpl; auto.
  assert (L : (i < n)%nat) by (rewrite <- (seq_length n 0); apply nth_error_Some; congruence).
  apply (nth_error_nth _ _ 0%nat) in E. rewrite seq_nth in E by auto. now subst.
Qed.
Definition memo2 {A} (n k : nat) (f : nat -> nat -> A) : nat -> nat -> A :=
  let rows := memo1 n (fun i => memo1 k (f i)) in fun i j => rows i j.
Lemma memo2_eq {A} n k (f : nat -> nat -> A) i j : memo2 n k f i j = f i j.
Proof. unfold memo2. now rewrite !memo1_eq. Qed.
Lemma memo1_id {A} n (f : nat -> A) : memo1 n f = f.
Proof. apply functional_extensionality; intros. apply memo1_eq. Qed.
Lemma memo2_id {A} n k (f : nat -> nat -> A) : memo2 n k f = f.
Proof. do 2 (apply functional_extensionality; intros). apply memo2_eq. Qed.

Open Scope Z_scope.
Fixpoint zmin (n : nat) (f : nat -> Z) : Z := match n with O => f O | S k => Z.min (zmin k f) (f k) end.
Fixpoint zmax (n : nat) (f : nat -> Z) : Z := match n with O => f O | S k => Z.max (zmax k f) (f k) end.
Lemma zmin_le n f i : (i < n)%nat -> zmin n f <= f i.
Proof. induction n; simpl; intros H; [lia|]. destruct (Nat.eq_dec i n) as [->|]; [lia|]. specialize (IHn ltac:(lia)); lia. Qed.
Lemma zmax_ge n f i : (i < n)%nat -> f i <= zmax n f.
Proof. induction n; simpl; intros H; [lia|]. destruct (Nat.eq_dec i n) as [->|]; [lia|]. specialize (IHn ltac:(lia)); lia. Qed.
Lemma zmax_mono a b f : (a <= b)%nat -> zmax a f <= zmax b f.
Proof. induction 1; simpl; lia. Qed.
Fixpoint lmin (l : list nat) (f : nat -> Z) : Z :=
  match l with [] => 0 | o :: r => match r with [] => f o | _ => Z.min (f o) (lmin r f) end end.
Lemma lmin_le l f o : In o l -> lmin l f <= f o.
Proof.
  induction l as [|a [|b r] IH]; intros H; [destruct H|destruct H as [->|[]]; simpl; lia|].
  change (lmin (a :: b :: r) f) with (Z.min (f a) (lmin (b :: r) f)). destruct H as [->|H]; [lia|]. specialize (IH H). lia.
Qed.

Definition levels := list (nat * nat).

Section Core.
Variables (V K : nat) (expo : Z -> Z * Z).
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable common : nat -> Z.
Variable slack : Z.   (* at least the margin, in units of 2^-p *)
Variable blocks : nat -> list (list nat).   (* of every label *)
Variable claim : nat -> nat -> nat -> option levels.

Definition wpair (a b : Z) : Z * Z :=
  (fst (expo (Z.max 0 (- a))), snd (expo (Z.max 0 (- b)))).
Definition lowprod (gap : Z) (w : Z * Z) : Z := if 0 <=? gap then fst w * gap else snd w * gap.

Record block_terms := BT { tD : nat -> Z; tT : nat -> Z; tLast : nat -> Z; tLeast : nat -> Z }.

Definition lead_tok (m : nat) (rv : list nat) (t j : nat) : Z :=
  let a := tl t m + pl j m + common m in lmin rv (fun o => a - (tu t o + pl j o + common o)) - 1.
Definition lead_direct (m : nat) (rv : list nat) (q : nat) : Z :=
  let a := dl q m - common m in lmin rv (fun o => a - (du q o - common o)) - slack.
Definition others (m : nat) (B : list nat) := filter (fun o => negb (o =? m)%nat) B.
(* n: the largest token that occurs. *)
Definition mk_terms (n m : nat) (B : list nat) : block_terms :=
  let rv := others m B in
  let T := memo1 (S n) (fun t => zmin (K - 1) (lead_tok m rv t)) in
  BT (memo1 (S n) (lead_direct m rv)) T (memo1 (S n) (fun t => lead_tok m rv t (K - 1))) (memo1 (S n) (fun s => zmin s T)).

(* Levels with their bounds, which do not increase. *)
Fixpoint bounds (bnd : nat -> Z * Z -> Z) (prev : option Z) (l : list (nat * nat * (Z * Z))) : list (nat * nat * Z) :=
  match l with
  | [] => []
  | (s, k, w) :: rest =>
      let b := match prev with None => bnd s w | Some a => Z.min a (bnd s w) end in (s, k, b) :: bounds bnd (Some b) rest
  end.
Fixpoint total (l : list (nat * nat * Z)) : Z := match l with [] => 0 | (_, k, b) :: r => Z.of_nat k * b + total r end.

Definition block_ok (b : block_terms) (q m c : nat) (ow cw : Z * Z) (l : list (nat * nat * (Z * Z))) : bool :=
  let D := tD b q in
  0 <? lowprod (D + tLast b q) ow + Z.of_nat c * lowprod (D + tT b m) cw
       + total (bounds (fun s w => lowprod (D + tLeast b s) w) None l).

Section Cell.
Variables (flo fhi : nat -> Z) (plo phi : nat -> nat -> Z) (bs : list block_terms).

Definition reference (m q : nat) := Z.max (phi q (S m) + fhi q) (tshi q q + pshi q (K - 1)).
Definition with_weights (q : nat) (ref : Z) (lv : levels) :=
  map (fun sk => (fst sk, snd sk, wpair (plo q (fst sk) + flo q - ref) (phi q (fst sk) + fhi q - ref))) lv.
Definition cell_total (m q : nat) : Z :=
  let ref := reference m q in
  let ow := wpair (tslo q q + pslo q (K - 1) - ref) (tshi q q + pshi q (K - 1) - ref) in
  let cw := wpair (tslo q m + flo q - ref) (tshi q m + fhi q - ref) in
  zsum K (fun c => match claim q m c with
    | None => 0
    | Some lv =>
      if ((0 <? c) || (q =? m))%nat && ascending 0 lv m
      then let l := with_weights q ref lv in
           if forallb (fun b => block_ok b q m c ow cw l) bs then binom (K - 1) c * cfit lv 0 0 (K - 1 - c) else 0
      else 0 end).
End Cell.

Definition has_rival (m : nat) (B : list nat) : bool := existsb (fun o => negb (o =? m)%nat) B.
Definition label_total flo fhi plo phi (m : nat) : Z :=
  let bs := map (mk_terms m m) (filter (has_rival m) (blocks m)) in
  zsum (S m) (cell_total flo fhi plo phi bs m).
Definition core_total : Z :=
  let flo := memo1 V (fun q => zmin (K - 1) (pslo q)) in
  let fhi := memo1 V (fun q => zmax (K - 1) (pshi q)) in
  let plo := memo2 V (S V) (fun q s => zmin s (tslo q)) in
  let phi := memo2 V (S V) (fun q s => zmax s (tshi q)) in
  zsum V (label_total flo fhi plo phi).
(* Whether an input is one of those that are counted. *)
Definition in_prefix_class (x : list nat) : bool :=
  let f := removelast x in let m := max_label x in
  match claim (nth (K - 1) x 0%nat) m (count (fun t => t =? m)%nat f) with
  | Some lv => fits lv 0 (filter (fun t => negb (t =? m)%nat) f)
  | None => false
  end.
End Core.

(* Sums over lists of tokens. *)
Fixpoint lsum (b : nat -> Z) (f : list nat) : Z := match f with [] => 0 | t :: r => b t + lsum b r end.
Fixpoint level_bound (l : list (nat * nat * Z)) (t : nat) : Z :=
  match l with [] => 0 | (s, _, b) :: r => if (t <? s)%nat then b else level_bound r t end.
Fixpoint falling (prev : Z) (l : list (nat * nat * Z)) : Prop :=
  match l with [] => True | (_, _, b) :: r => b <= prev /\ falling b r end.

Lemma lsum_split gg b1 b2 b f : (forall t, gg t = true -> b t = b1) -> (forall t, gg t = false -> b t = b2 t) ->
  lsum b f = Z.of_nat (count gg f) * b1 + lsum b2 (filter (fun t => negb (gg t)) f).
Proof.
  intros H1 H2. induction f as [|t f IH]; [reflexivity|]. cbn [lsum count filter]. destruct (gg t) eqn:E; cbn [negb lsum].
  - rewrite (H1 t E), IH. lia.
  - rewrite (H2 t E), IH. lia.
Qed.

Lemma fits_bound l : forall prev sur f, falling prev l ->
  fits (map fst l) sur f = true -> total l <= Z.of_nat sur * prev + lsum (level_bound l) f.
Proof.
  induction l as [|[[s k] b] r IH]; intros prev sur f Hm Hf; simpl in Hf.
  - apply andb_prop in Hf as [H1 H2]. apply Nat.eqb_eq in H1. destruct f; [|discriminate]. subst; simpl; lia.
  - apply andb_prop in Hf as [H1 H2]. apply Nat.leb_le in H1. destruct Hm as [Hb Hm].
    specialize (IH b _ _ Hm H2).
    rewrite (lsum_split (fun t => t <? s)%nat b (level_bound r)) by (intros t E; simpl; now rewrite E).
    cbn [total]. set (a := count _ f) in *. rewrite Nat2Z.inj_sub, Nat2Z.inj_add in IH by lia. nia.
Qed.

Lemma fits_in lv : forall sur f t, fits lv sur f = true -> In t f -> exists s k, In (s, k) lv /\ (t < s)%nat.
Proof.
  induction lv as [|[s k] r IH]; intros sur f t Hf Ht; simpl in Hf.
  - apply andb_prop in Hf as [_ H]. destruct f; [destruct Ht|discriminate].
  - apply andb_prop in Hf as [_ H]. destruct (Nat.ltb_spec t s); [exists s, k; simpl; auto|].
    destruct (IH _ _ t H) as (s' & k' & ? & ?); [|exists s', k'; simpl; auto].
    apply filter_In. split; auto. now rewrite (proj2 (Nat.ltb_ge t s)).
Qed.

Lemma bounds_fst bnd l : forall prev, map fst (bounds bnd prev l) = map fst l.
Proof. induction l as [|[[s k] w] r IH]; intros prev; simpl; [auto|]. now rewrite IH. Qed.
Lemma bounds_falling bnd l : forall a, falling a (bounds bnd (Some a) l).
Proof. induction l as [|[[s k] w] r IH]; intros a; simpl; auto. split; [lia|apply IH]. Qed.
Lemma bounds_in bnd l : forall prev s k b, In (s, k, b) (bounds bnd prev l) -> exists w, In (s, k, w) l /\ b <= bnd s w.
Proof.
  induction l as [|[[s k] w] r IH]; intros prev s' k' b H; simpl in H; [destruct H|]. destruct H as [H|H].
  - inversion H; subst. exists w. split; [left; auto|]. destruct prev; lia.
  - apply IH in H as (w' & ? & ?). exists w'; split; [right|]; auto.
Qed.
Lemma bounds_fits bnd l f : fits (map fst l) 0 f = true -> total (bounds bnd None l) <= lsum (level_bound (bounds bnd None l)) f.
Proof.
  intros H. destruct l as [|[[s k] w] r].
  - apply (fits_bound [] 0) in H; simpl in *; auto; lia.
  - assert (F : falling (bnd s w) (bounds bnd None ((s, k, w) :: r))) by (cbn [bounds falling]; split; [lia|apply bounds_falling]).
    apply (fits_bound _ _ 0 f) in F; [|now rewrite bounds_fst]. lia.
Qed.
Lemma level_bound_in l t : (exists s k b, In (s, k, b) l /\ (t < s)%nat) ->
  exists s k b, In (s, k, b) l /\ (t < s)%nat /\ level_bound l t = b.
Proof.
  induction l as [|[[s k] b] r IH]; intros (s' & k' & b' & H & L); [destruct H|]. cbn [level_bound].
  destruct (Nat.ltb_spec t s); [exists s, k, b; simpl; auto|]. destruct H as [H|H]; [inversion H; lia|].
  destruct IH as (s2 & k2 & b2 & ? & ? & ?); [eauto|]. exists s2, k2, b2; simpl; auto.
Qed.

Lemma rsum_IZR n f : rsum n (fun i => IZR (f i)) = IZR (zsum n f).
Proof. induction n; simpl; [auto|]. now rewrite IHn, <- plus_IZR. Qed.
Lemma rsum_shift n f : rsum (S n) f = (f O + rsum n (fun i => f (S i)))%R.
Proof. induction n; [simpl; ring|]. cbn [rsum] in *. rewrite IHn. ring. Qed.
Lemma rsum_list (b : nat -> Z) f : rsum (length f) (fun j => IZR (b (nth j f O))) = IZR (lsum b f).
Proof.
  induction f as [|t f IH]; [reflexivity|]. cbn [length lsum]. rewrite rsum_shift, plus_IZR, <- IH. reflexivity.
Qed.

Lemma ascending_in lv : forall lo m s k, ascending lo lv m = true -> In (s, k) lv -> (s <= m)%nat.
Proof.
  induction lv as [|[s' k'] r IH]; intros lo m s k H I; [destruct I|]. simpl in H.
  apply andb_prop in H as [H H3]. apply andb_prop in H as [_ H2]. apply Nat.leb_le in H2.
  destruct I as [I|I]; [inversion I; subst; auto|]. eapply IH; eauto.
Qed.

Section Sound.
Variable M : model.
Notation V := (nV M). Notation K := (nK M).
Variables (p : Z) (expo : Z -> Z * Z).
Hypothesis Hp : 0 <= p.
Hypothesis expo_ok :
  forall y, (0 <= y)%Z -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (expo y)))%R.
Hypothesis HK : (0 < K)%nat.
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable common : nat -> Z.
Variable slack : Z.   (* at least the margin, in units of 2^-p *)
Variable blocks : nat -> list (list nat).   (* of every label *)
Variable claim : nat -> nat -> nat -> option levels.

Notation P := (IZR (2 ^ p)).
Local Open Scope R_scope.
Variables cs cd ct : nat -> R.   (* what scores and values may differ by: it cancels *)
Hypothesis Hts : forall q t, IZR (tslo q t) <= P * (token_score M q t - cs q) <= IZR (tshi q t).
Hypothesis Hps : forall q j, IZR (pslo q j) <= P * position_score M q j <= IZR (pshi q j).
Hypothesis Hd : forall q o, IZR (dl q o) <= P * (direct M q o - cd q) <= IZR (du q o).
Hypothesis Ht : forall t o, IZR (tl t o) <= P * (token_value M t o - ct t) <= IZR (tu t o).
Hypothesis Hpv : forall j o, IZR (pl j o) <= P * position_value M j o <= IZR (pl j o) + 1.
Hypothesis Hslack : P * margin M <= IZR slack.
Hypothesis Hblocks : forall m o, (m < V)%nat -> (o < nO M)%nat -> exists B, In B (blocks m) /\ In o B.

Lemma wpair_ok a b x gap z :
  IZR a <= P * x <= IZR b -> (b <= 0)%Z -> IZR z <= P * gap ->
  IZR (lowprod z (wpair expo a b)) <= P * P * (exp x * gap).
Proof.
  intros [Ha Hb] Hb0 Hz. assert (PP := pw_pos p Hp). unfold lowprod, wpair; cbn [fst snd].
  assert (EX := exp_pos x).
  destruct (expo_ok (Z.max 0 (- a))%Z ltac:(lia)) as [L _].
  destruct (expo_ok (Z.max 0 (- b))%Z ltac:(lia)) as [_ U].
  set (l := fst (expo (Z.max 0 (- a)))) in *. set (u := snd (expo (Z.max 0 (- b)))) in *.
  assert (L' : IZR l <= P * exp x).
  { apply Rle_trans with (1 := L). apply Rmult_le_compat_l; [lra|].
    assert (A : - (IZR (Z.max 0 (- a)) / P) <= x).
    { assert (IZR (- a) <= IZR (Z.max 0 (- a))) by (apply IZR_le; lia). rewrite opp_IZR in H.
      apply Rmult_le_reg_r with P; [lra|]. replace (- (IZR (Z.max 0 (- a)) / P) * P) with (- IZR (Z.max 0 (- a))) by (field; lra).
      lra. }
    destruct (Rle_lt_or_eq_dec _ _ A) as [X|X]; [left; now apply exp_increasing|rewrite X; lra]. }
  assert (U' : P * exp x <= IZR u).
  { apply Rle_trans with (2 := U). apply Rmult_le_compat_l; [lra|].
    replace (Z.max 0 (- b)) with (- b)%Z by lia. rewrite opp_IZR.
    assert (A : x <= - (- IZR b / P)).
    { apply Rmult_le_reg_r with P; [lra|]. replace (- (- IZR b / P) * P) with (IZR b) by (field; lra). lra. }
    destruct (Rle_lt_or_eq_dec _ _ A) as [X|X]; [left; now apply exp_increasing|rewrite <- X; lra]. }
  assert (L0 : 0 <= P * exp x) by (apply Rmult_le_pos; lra).
  destruct (0 <=? z)%Z eqn:E.
  - apply Z.leb_le in E. apply IZR_le in E. rewrite mult_IZR.
    apply Rle_trans with (P * exp x * IZR z); [nra|].
    replace (P * P * (exp x * gap)) with (P * exp x * (P * gap)) by ring. apply Rmult_le_compat_l; auto.
  - apply Z.leb_gt in E. apply IZR_lt in E. rewrite mult_IZR.
    apply Rle_trans with (P * exp x * IZR z); [nra|].
    replace (P * P * (exp x * gap)) with (P * exp x * (P * gap)) by ring. apply Rmult_le_compat_l; auto.
Qed.

Notation lead_tok' := (lead_tok tl tu pl common).
Notation lead_direct' := (lead_direct dl du common slack).

Lemma gap_ok m B q t j o z : In o B -> o <> m -> (z <= lead_tok' m (others m B) t j)%Z ->
  IZR (lead_direct' m (others m B) q + z) <= P * (v M q t j m - v M q t j o - margin M).
Proof.
  intros HB Hom Hz. assert (Ho : In o (others m B)).
  { apply filter_In. split; auto. now rewrite (proj2 (Nat.eqb_neq o m)). }
  unfold lead_direct, lead_tok in *.
  assert (A := lmin_le _ (fun o => dl q m - common m - (du q o - common o))%Z o Ho).
  assert (C := lmin_le _ (fun o => tl t m + pl j m + common m - (tu t o + pl j o + common o))%Z o Ho).
  cbn beta in A, C.
  apply Rle_trans with (IZR (dl q m - du q o - slack + (tl t m - tu t o) + (pl j m - pl j o - 1))).
  - apply IZR_le. lia.
  - rewrite !plus_IZR, !minus_IZR. unfold v.
    assert (H1 := Hd q m); assert (H2 := Hd q o); assert (H3 := Ht t m); assert (H4 := Ht t o).
    assert (H5 := Hpv j m); assert (H6 := Hpv j o). lra.
Qed.

Section OneCell.
Variables (flo fhi : nat -> Z) (plo phi : nat -> nat -> Z).
Hypothesis Hflo : forall q, flo q = zmin (K - 1) (pslo q).
Hypothesis Hfhi : forall q, fhi q = zmax (K - 1) (pshi q).
Hypothesis Hplo : forall q s, plo q s = zmin s (tslo q).
Hypothesis Hphi : forall q s, phi q s = zmax s (tshi q).
Notation ref m q := (reference K tshi pshi fhi phi m q).
Notation mk := (mk_terms K dl du tl tu pl common slack).
Notation weights := (with_weights expo flo fhi plo phi).

Definition h (r : R) (q t j m o : nat) : R := w M r q t j * (v M q t j m - v M q t j o - margin M).

Lemma with_last r q f m o : length f = (K - 1)%nat ->
  rsum K (fun j => h r q (nth j (f ++ [q]) O) j m o) = rsum (K - 1) (fun j => h r q (nth j f O) j m o) + h r q q (K - 1) m o.
Proof.
  intros Hlen. replace K with (S (K - 1)) at 1 by lia. cbn [rsum]. f_equal.
  - apply rsum_ext; intros j Hj. now rewrite app_nth1 by lia.
  - rewrite app_nth2, Hlen, Nat.sub_diag by lia. reflexivity.
Qed.

Lemma score_low q t j s m : (t < s)%nat -> (s <= S m)%nat -> (j < K - 1)%nat ->
  IZR (plo q s + flo q - ref m q) <= P * (token_score M q t + position_score M q j - (IZR (ref m q) / P + cs q)) <=
  IZR (phi q s + fhi q - ref m q) /\ (phi q s + fhi q - ref m q <= 0)%Z.
Proof.
  intros Hs Hm Hj. assert (PP := pw_pos p Hp).
  assert (A := zmin_le s (tslo q) t Hs). assert (B := zmax_ge s (tshi q) t Hs).
  assert (C := zmin_le (K - 1) (pslo q) j Hj). assert (D := zmax_ge (K - 1) (pshi q) j Hj).
  rewrite <- Hplo in A. rewrite <- Hphi in B. rewrite <- Hflo in C. rewrite <- Hfhi in D.
  apply IZR_le in A, B, C, D. assert (T := Hts q t). assert (S' := Hps q j).
  split.
  - rewrite !minus_IZR, !plus_IZR.
    replace (P * (token_score M q t + position_score M q j - (IZR (ref m q) / P + cs q)))
      with (P * (token_score M q t - cs q) + P * position_score M q j - IZR (ref m q)) by (field; lra). lra.
  - unfold reference. assert (E := zmax_mono s (S m) (tshi q) Hm). rewrite <- !Hphi in E. lia.
Qed.

Lemma level_ok m B q t j o s : In o B -> o <> m -> (t < s)%nat -> (s <= m)%nat -> (j < K - 1)%nat ->
  IZR (lowprod (tD (mk m m B) q + tLeast (mk m m B) s)
         (wpair expo (plo q s + flo q - ref m q) (phi q s + fhi q - ref m q)))
  <= P * P * h (IZR (ref m q) / P + cs q) q t j m o.
Proof.
  intros HB Hom Hts' Hsm Hj. destruct (score_low q t j s m Hts' ltac:(lia) Hj) as [E F].
  apply wpair_ok; auto. unfold mk_terms; cbn [tD tLeast]. rewrite !memo1_eq. apply gap_ok; auto.
  etransitivity. apply (zmin_le s _ t Hts'). rewrite memo1_eq. apply zmin_le; auto.
Qed.

Lemma copy_ok m B q j o : In o B -> o <> m -> (j < K - 1)%nat ->
  IZR (lowprod (tD (mk m m B) q + tT (mk m m B) m) (wpair expo (tslo q m + flo q - ref m q) (tshi q m + fhi q - ref m q)))
  <= P * P * h (IZR (ref m q) / P + cs q) q m j m o.
Proof.
  intros HB Hom Hj. assert (PP := pw_pos p Hp).
  assert (C := zmin_le (K - 1) (pslo q) j Hj). assert (D := zmax_ge (K - 1) (pshi q) j Hj).
  rewrite <- Hflo in C. rewrite <- Hfhi in D. apply IZR_le in C, D.
  assert (T := Hts q m). assert (S' := Hps q j).
  apply wpair_ok.
  - rewrite !minus_IZR, !plus_IZR.
    replace (P * (token_score M q m + position_score M q j - (IZR (ref m q) / P + cs q)))
      with (P * (token_score M q m - cs q) + P * position_score M q j - IZR (ref m q)) by (field; lra). lra.
  - unfold reference. assert (E := zmax_ge (S m) (tshi q) m ltac:(lia)). rewrite <- Hphi in E. lia.
  - unfold mk_terms; cbn [tD tT]. rewrite !memo1_eq. apply gap_ok; auto. apply zmin_le; auto.
Qed.

Lemma own_ok n m B q o : In o B -> o <> m ->
  IZR (lowprod (tD (mk n m B) q + tLast (mk n m B) q)
        (wpair expo (tslo q q + pslo q (K - 1) - ref n q) (tshi q q + pshi q (K - 1) - ref n q)))
  <= P * P * h (IZR (ref n q) / P + cs q) q q (K - 1) m o.
Proof.
  intros HB Hom. assert (PP := pw_pos p Hp).
  assert (T := Hts q q). assert (S' := Hps q (K - 1)%nat).
  apply wpair_ok.
  - rewrite !minus_IZR, !plus_IZR.
    replace (P * (token_score M q q + position_score M q (K - 1) - (IZR (ref n q) / P + cs q)))
      with (P * (token_score M q q - cs q) + P * position_score M q (K - 1) - IZR (ref n q)) by (field; lra). lra.
  - unfold reference. lia.
  - unfold mk_terms; cbn [tD tLast]. rewrite !memo1_eq. apply gap_ok; auto. lia.
Qed.

Lemma class_label m c lv q f : (q <= m)%nat -> ((0 <? c) || (q =? m))%nat = true -> ascending 0 lv m = true ->
  in_class m c lv f = true -> max_label (f ++ [q]) = m.
Proof.
  intros Hq Hc Ha Hi. apply andb_prop in Hi as [H1 H2]. apply Nat.eqb_eq in H1. apply Nat.le_antisymm.
  - apply max_label_le. intros t Ht'. apply in_app_iff in Ht' as [Ht'|[<-|[]]]; auto.
    destruct (Nat.eq_dec t m) as [->|N]; auto.
    destruct (fits_in _ _ _ t H2) as (s & k & I & L).
    { apply filter_In; split; auto. now rewrite (proj2 (Nat.eqb_neq t m)). }
    apply (ascending_in _ _ _ _ _ Ha) in I. lia.
  - apply in_le_max, in_app_iff. apply orb_prop in Hc as [Hc|Hc].
    + left. apply Nat.ltb_lt in Hc. destruct (count_pos (fun t => (t =? m)%nat) f ltac:(lia)) as (t & I & E).
      apply Nat.eqb_eq in E; subst; auto.
    + right. apply Nat.eqb_eq in Hc. subst; simpl; auto.
Qed.

Lemma class_right m c lv q f : (m < V)%nat -> length f = (K - 1)%nat -> ascending 0 lv m = true -> in_class m c lv f = true ->
  forallb (fun b => block_ok b q m c
      (wpair expo (tslo q q + pslo q (K - 1) - ref m q) (tshi q q + pshi q (K - 1) - ref m q))
      (wpair expo (tslo q m + flo q - ref m q) (tshi q m + fhi q - ref m q))
      (weights q (ref m q) lv)) (map (mk m m) (filter (has_rival m) (blocks m))) = true ->
  predicts M (f ++ [q]) m.
Proof.
  intros Hm Hlen Ha Hi Hb o Ho Hom. assert (PP := pw_pos p Hp).
  destruct (Hblocks m o Hm Ho) as (B & HB & HoB).
  assert (HR : In (mk m m B) (map (mk m m) (filter (has_rival m) (blocks m)))).
  { apply in_map, filter_In. split; auto. apply existsb_exists. exists o. split; auto. now rewrite (proj2 (Nat.eqb_neq o m)). }
  rewrite forallb_forall in Hb. specialize (Hb _ HR). unfold block_ok in Hb. apply Z.ltb_lt in Hb.
  set (r := IZR (ref m q) / P + cs q). apply (clear_denominator M (f ++ [q]) m o r HK).
  assert (Hlast : last M (f ++ [q]) = q) by (unfold last; rewrite app_nth2, Hlen, Nat.sub_diag by lia; reflexivity).
  rewrite Hlast.
  assert (EK := with_last r q f m o Hlen).
  unfold h in EK at 1. rewrite EK. clear EK.
  set (L := weights q (ref m q) lv) in *.
  set (bnd := fun s w => lowprod (tD (mk m m B) q + tLeast (mk m m B) s) w) in *.
  set (C := lowprod (tD (mk m m B) q + tT (mk m m B) m) _) in *.
  set (b := fun t => if (t =? m)%nat then C else level_bound (bounds bnd None L) t).
  apply andb_prop in Hi as [H1 H2]. apply Nat.eqb_eq in H1.
  assert (FL : map fst L = lv).
  { unfold L, with_weights. rewrite map_map. cbn [fst]. erewrite map_ext; [apply map_id|]. now intros [? ?]. }
  assert (S1 : (Z.of_nat c * C + total (bounds bnd None L) <= lsum b f)%Z).
  { rewrite (lsum_split (fun t => (t =? m)%nat) C (level_bound (bounds bnd None L)) b)
      by (intros t E; unfold b; now rewrite E).
    rewrite H1. apply Z.add_le_mono_l. apply bounds_fits. now rewrite FL. }
  assert (S2 : IZR (lsum b f) <= P * P * rsum (K - 1) (fun j => h r q (nth j f O) j m o)).
  { rewrite <- rsum_list, <- rsum_scal, Hlen. apply rsum_le. intros j Hj. set (t := nth j f O).
    assert (It : In t f) by (apply nth_In; lia). unfold b. destruct (Nat.eqb_spec t m) as [->|N].
    - apply copy_ok; auto.
    - destruct (fits_in _ _ _ t H2) as (s & k & I & Lt).
      { apply filter_In; split; auto. now rewrite (proj2 (Nat.eqb_neq t m)). }
      destruct (level_bound_in (bounds bnd None L) t) as (s' & k' & b' & I' & Lt' & ->).
      { assert (X : In (s, k) (map fst (bounds bnd None L))) by now rewrite bounds_fst, FL.
        apply in_map_iff in X as ([[s2 k2] b2] & E & X). injection E as -> ->. exists s, k, b2. auto. }
      apply bounds_in in I' as (w' & I' & Hb'). apply in_map_iff in I' as ([s3 k3] & E & I3).
      cbn [fst snd] in E. injection E as -> -> <-.
      apply Rle_trans with (IZR (bnd s' (wpair expo (plo q s' + flo q - ref m q) (phi q s' + fhi q - ref m q))));
        [now apply IZR_le|]. unfold bnd. apply level_ok; auto. eapply ascending_in; eauto. }
  assert (S3 := own_ok m m B q o HoB Hom). fold r in S3.
  set (ow := lowprod (tD (mk m m B) q + tLast (mk m m B) q) _) in *.
  assert (S4 : (0 < ow + lsum b f)%Z) by lia.
  apply IZR_lt in S4. rewrite plus_IZR in S4.
  apply Rmult_lt_reg_l with (P * P); [nra|]. rewrite Rmult_0_r, Rmult_plus_distr_l. lra.
Qed.
End OneCell.

Local Open Scope Z_scope.
Theorem prefix_members_sound :
  core_total V K expo tslo tshi pslo pshi dl du tl tu pl common slack blocks claim
  <= cnt V all K (fun x => correctb M x && in_prefix_class K claim x).
Proof.
  replace K with (S (K - 1)) at 2 by lia. rewrite cnt_last. unfold core_total.
  set (flo := memo1 _ _). set (fhi := memo1 V (fun q => zmax _ _)).
  set (plo := memo2 _ _ _). set (phi := memo2 V (S V) (fun q s => zmax _ _)).
  assert (Hflo : forall q, flo q = zmin (K - 1) (pslo q)) by (intros; unfold flo; now rewrite memo1_eq).
  assert (Hfhi : forall q, fhi q = zmax (K - 1) (pshi q)) by (intros; unfold fhi; now rewrite memo1_eq).
  assert (Hplo : forall q s, plo q s = zmin s (tslo q)) by (intros; unfold plo; now rewrite memo2_eq).
  assert (Hphi : forall q s, phi q s = zmax s (tshi q)) by (intros; unfold phi; now rewrite memo2_eq).
  set (counted := fun q f => correctb M (f ++ [q]) && in_prefix_class K claim (f ++ [q])).
  set (X := fun q m => cnt V all (K - 1) (fun f => counted q f && (max_label (f ++ [q]) =? m)%nat)).
  transitivity (zsum V (fun m => zsum V (fun q => X q m))).
  2:{ rewrite zsum_swap. apply zsum_le; intros q _.
      apply (cnt_key V all (K - 1) (counted q) (fun f => max_label (f ++ [q])) V). }
  apply zsum_le; intros m Hm. unfold label_total.
  transitivity (zsum (S m) (fun q => X q m)).
  2:{ apply zsum_range; [lia|]. intros; apply cnt_nonneg. }
  apply zsum_le; intros q Hq. unfold cell_total, X.
  etransitivity; [|apply (cnt_key V all (K - 1) _ (count (fun t => (t =? m)%nat)) K)].
  apply zsum_le; intros c Hc. destruct (claim q m c) as [lv|] eqn:Hclaim; [|apply cnt_nonneg].
  destruct (_ && _) eqn:E1; [|apply cnt_nonneg]. apply andb_prop in E1 as [Ec Ea].
  destruct (forallb _ _) eqn:E2; [|apply cnt_nonneg].
  etransitivity; [apply (cnt_class V m c lv (K - 1) Hm Ea)|].
  apply cnt_mono. intros f [Hlen _] Hi.
  assert (L : max_label (f ++ [q]) = m) by (eapply class_label; eauto; lia).
  assert (N : nth (K - 1) (f ++ [q]) 0%nat = q) by (rewrite app_nth2, Hlen, Nat.sub_diag by lia; reflexivity).
  assert (I := Hi). apply andb_prop in I as [I1 I2]. assert (I1' := I1). apply Nat.eqb_eq in I1'. unfold counted.
  rewrite correct_spec.
  - unfold in_prefix_class. now rewrite removelast_last, L, N, I1', Hclaim, I2, !Nat.eqb_refl.
  - change (nth_label 0 (f ++ [q])) with (max_label (f ++ [q])). rewrite L. eapply class_right; eauto.
Qed.

Theorem core_sound :
  core_total V K expo tslo tshi pslo pshi dl du tl tu pl common slack blocks claim <= n_correct M.
Proof.
  etransitivity; [apply prefix_members_sound|]. unfold n_correct_nth. rewrite <- cnt_spec. apply cnt_mono.
  intros x _ H. now apply andb_prop in H.
Qed.
End Sound.
