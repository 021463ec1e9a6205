(* Rule group-chains (FORMAT.md 5.3), for the n-th largest token: levels on either side of the label, given by any grouping. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels Exponential PrefixChains.
Import ListNotations.
Open Scope Z_scope.

Section Fits.
Variable V : nat.
Variable sel : nat -> nat -> bool.   (* level, token *)
Fixpoint gfits (lv : levels) (sur : nat) (f : list nat) : bool :=
  match lv with
  | [] => (sur =? 0)%nat && match f with [] => true | _ => false end
  | (i, k) :: rest => let a := count (sel i) f in
      (k <=? sur + a)%nat && gfits rest (sur + a - k) (filter (fun t => negb (sel i t)) f)
  end.
Fixpoint gsizes (lv : levels) (ok : nat -> bool) : list (Z * nat) :=
  match lv with [] => [] | (i, k) :: r => (size V (fun t => ok t && sel i t), k) :: gsizes r (fun t => ok t && negb (sel i t)) end.
Fixpoint gc (l : list (Z * nat)) (sur n : nat) : Z :=
  match l with
  | [] => b2z ((sur =? 0)%nat && (n =? 0)%nat)
  | (z, k) :: r => zsum (S n) (fun a => if (k <=? sur + a)%nat then binom n a * z ^ Z.of_nat a * gc r (sur + a - k) (n - a) else 0)
  end.

Lemma size_nonneg ok : 0 <= size V ok.
Proof. apply zsum_nonneg; intros; destruct (ok i); simpl; lia. Qed.

Lemma gcnt : forall lv ok sur n, gc (gsizes lv ok) sur n <= cnt V ok n (gfits lv sur).
Proof.
  induction lv as [|[i k] rest IH]; intros ok sur n.
  - simpl. destruct n; [cbn; rewrite !andb_true_r; lia|]. rewrite andb_false_r. apply cnt_nonneg.
  - cbn [gsizes gc]. etransitivity; [|apply (cnt_key V ok n (gfits ((i, k) :: rest) sur) (count (sel i)) (S n))].
    apply zsum_le; intros a Ha. destruct (k <=? sur + a)%nat eqn:E; [|apply cnt_nonneg].
    rewrite (cnt_ext _ _ _ _ (fun f => (count (sel i) f =? a)%nat && (gfits rest (sur + a - k)) (filter (fun t => negb (sel i t)) f))).
    2:{ intros f _. simpl gfits. destruct (count _ f =? a)%nat eqn:Ea; [|now rewrite andb_false_r].
        apply Nat.eqb_eq in Ea. rewrite Ea, E. now rewrite andb_true_r. }
    rewrite cnt_split. apply Z.mul_le_mono_nonneg_l; [|apply IH].
    apply Z.mul_nonneg_nonneg; [apply binom_nonneg|]. apply Z.pow_nonneg, size_nonneg.
Qed.

Lemma gfits_in lv : forall sur f t, gfits lv sur f = true -> In t f -> exists i k, In (i, k) lv /\ sel i t = true.
Proof.
  induction lv as [|[i k] r IH]; intros sur f t Hf Ht; simpl in Hf.
  - apply andb_prop in Hf as [_ H]. destruct f; [destruct Ht|discriminate].
  - apply andb_prop in Hf as [_ H]. destruct (sel i t) eqn:S; [exists i, k; simpl; auto|].
    destruct (IH _ _ t H) as (i' & k' & ? & ?); [|exists i', k'; simpl; auto].
    apply filter_In. split; auto. now rewrite S.
Qed.

Fixpoint gbound (l : list (nat * nat * Z)) (t : nat) : Z :=
  match l with [] => 0 | (i, _, b) :: r => if sel i t then b else gbound r t end.
Lemma gfits_bound l : forall prev sur f, falling prev l ->
  gfits (map fst l) sur f = true -> total l <= Z.of_nat sur * prev + lsum (gbound l) f.
Proof.
  induction l as [|[[i k] b] r IH]; intros prev sur f Hm Hf; simpl in Hf.
  - apply andb_prop in Hf as [H1 H2]. apply Nat.eqb_eq in H1. destruct f; [|discriminate]. subst; simpl; lia.
  - apply andb_prop in Hf as [H1 H2]. apply Nat.leb_le in H1. destruct Hm as [Hb Hm].
    specialize (IH b _ _ Hm H2).
    rewrite (lsum_split (sel i) b (gbound r)) by (intros t E; simpl; now rewrite E).
    cbn [total]. set (a := count _ f) in *. rewrite Nat2Z.inj_sub, Nat2Z.inj_add in IH by lia. nia.
Qed.
Lemma gbound_in l t : (exists i k b, In (i, k, b) l /\ sel i t = true) ->
  exists i k b, In (i, k, b) l /\ sel i t = true /\ gbound l t = b.
Proof.
  induction l as [|[[i k] b] r IH]; intros (i' & k' & b' & H & L); [destruct H|]. cbn [gbound].
  destruct (sel i t) eqn:S; [exists i, k, b; simpl; auto|]. destruct H as [H|H]; [inversion H; congruence|].
  destruct IH as (i2 & k2 & b2 & ? & ? & ?); [eauto|]. exists i2, k2, b2; simpl; auto.
Qed.
End Fits.

(* Bounds of levels: running minima. *)
Fixpoint gbounds (bnd : nat -> Z) (prev : option Z) (l : levels) : list (nat * nat * Z) :=
  match l with
  | [] => []
  | (i, k) :: rest => let b := match prev with None => bnd i | Some a => Z.min a (bnd i) end in (i, k, b) :: gbounds bnd (Some b) rest
  end.
Lemma gbounds_fst bnd l : forall prev, map fst (gbounds bnd prev l) = l.
Proof. induction l as [|[i k] r IH]; intros prev; simpl; [auto|]. now rewrite IH. Qed.
Lemma gbounds_falling bnd l : forall a, falling a (gbounds bnd (Some a) l).
Proof. induction l as [|[i k] r IH]; intros a; simpl; auto. split; [lia|apply IH]. Qed.
Lemma gbounds_in bnd l : forall prev i k b, In (i, k, b) (gbounds bnd prev l) -> b <= bnd i.
Proof.
  induction l as [|[i k] r IH]; intros prev i' k' b H; simpl in H; [destruct H|]. destruct H as [H|H].
  - inversion H; subst. destruct prev; lia.
  - eapply IH; eauto.
Qed.
Lemma gbounds_fits sel bnd l f : gfits sel l 0 f = true -> total (gbounds bnd None l) <= lsum (gbound sel (gbounds bnd None l)) f.
Proof.
  intros H. destruct l as [|[i k] r].
  - apply (gfits_bound sel [] 0) in H; simpl in *; auto; lia.
  - assert (F : falling (bnd i) (gbounds bnd None ((i, k) :: r))) by (cbn [gbounds falling]; split; [lia|apply gbounds_falling]).
    apply (gfits_bound sel _ _ 0 f) in F; [|now rewrite gbounds_fst]. lia.
Qed.

Fixpoint omin (n : nat) (s : nat -> bool) (f : nat -> Z) : option Z :=
  match n with
  | O => None
  | S k => let r := omin k s f in if s k then Some match r with None => f k | Some a => Z.min a (f k) end else r
  end.
Lemma omin_le n s f t : (t < n)%nat -> s t = true -> exists z, omin n s f = Some z /\ z <= f t.
Proof.
  induction n; intros H S; [lia|]. simpl. destruct (Nat.eq_dec t n) as [->|N].
  - rewrite S. destruct (omin n s f); eexists; split; eauto; lia.
  - destruct IHn as (z & E & L); [lia|auto|]. rewrite E. destruct (s n); eexists; split; eauto; lia.
Qed.

(* step: whose blocks; level 0: excluded; the numbers of tokens of each level, below the label and above it. *)
Record grouped := Grouped { step : nat; level : nat -> nat; need : levels; need_above : levels }.
Definition selects (above : bool) (m : nat) (gr : nat -> nat) (i t : nat) : bool :=
  (if above then m <? t else t <? m)%nat && (0 <? gr t)%nat && (gr t <=? i)%nat.

Section Core.
Variables (V K : nat) (expo : Z -> Z * Z).
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable common : nat -> Z.
Variable slack : Z.
Variable passed : nat.   (* the label is token number passed + 1 in descending order *)
Variable steps : nat.
Variable blocks : nat -> nat -> list (list nat).     (* of every step and label *)
Variable claim : nat -> nat -> nat -> nat -> option grouped.   (* query, label, copies, tokens above the label *)

(* The largest token that occurs beside a label. *)
Definition top (m : nat) : nat := match passed with O => m | S _ => (V - 1)%nat end.
(* Whether m is the label, with a tokens above it and c copies of it before the query. *)
Definition labels (q m c a : nat) : bool :=
  let above := (a + if m <? q then 1 else 0)%nat in
  (above <=? passed)%nat && (passed <? above + (c + if q =? m then 1 else 0))%nat.

Section Cell.
Variables (flo fhi : nat -> Z) (phi : nat -> nat -> Z) (bs : nat -> list block_terms).
Definition harm (m q : nat) (ref : Z) (ws : nat -> Z * Z) (b : block_terms) : Z * Z * (nat -> Z) :=
  let D := tD b q in
  (lowprod (D + tLast b q) (wpair expo (tslo q q + pslo q (K - 1)%nat - ref) (tshi q q + pshi q (K - 1)%nat - ref)),
   lowprod (D + tT b m) (ws m), memo1 (S (top m)) (fun t => lowprod (D + tT b t) (ws t))).
Definition least (above : bool) (m : nat) (gr : nat -> nat) (H : nat -> Z) (i : nat) : Z :=
  match omin (S (top m)) (selects above m gr i) H with Some z => z | None => 0 end.
Definition gclass_ok (m c : nat) (G : grouped) (hb : Z * Z * (nat -> Z)) : bool :=
  let '(own, copy, H) := hb in
  0 <? own + Z.of_nat c * copy + total (gbounds (least false m (level G) H) None (need G))
           + total (gbounds (least true m (level G) H) None (need_above G)).
Definition gclass_size (m c a : nat) (G : grouped) : Z :=
  let other := fun t => negb (t =? m)%nat in
  binom (K - 1) c * (binom (K - 1 - c) a
    * gc (gsizes V (selects true m (level G)) (need_above G) (fun t => other t && (m <? t)%nat)) 0 a
    * gc (gsizes V (selects false m (level G)) (need G) (fun t => other t && negb (m <? t)%nat)) 0 (K - 1 - c - a)).
Definition gcell_total (m q : nat) : Z :=
  let ref := reference K tshi pshi fhi phi (top m) q in
  let ws := memo1 (S (top m)) (fun t => wpair expo (tslo q t + flo q - ref) (tshi q t + fhi q - ref)) in
  let hs := memo1 steps (fun s => map (harm m q ref ws) (bs s)) in
  zsum K (fun c => zsum (S passed) (fun a => match claim q m c a with
    | None => 0
    | Some G =>
      if labels q m c a && (step G <? steps)%nat && forallb (gclass_ok m c G) (hs (step G)) then gclass_size m c a G else 0 end)).
End Cell.
Definition glabel_total flo fhi phi (m : nat) : Z :=
  let bs := memo1 steps (fun s => map (mk_terms K dl du tl tu pl common slack (top m) m) (filter (has_rival m) (blocks s m))) in
  zsum (S (top m)) (gcell_total flo fhi phi bs m).
Definition group_total : Z :=
  let flo := memo1 V (fun q => zmin (K - 1) (pslo q)) in
  let fhi := memo1 V (fun q => zmax (K - 1) (pshi q)) in
  let phi := memo2 V (S V) (fun q s => zmax s (tshi q)) in
  zsum V (glabel_total flo fhi phi).
(* Whether the free tokens f are in a class with the label m. *)
Definition in_groups (m : nat) (G : grouped) (f : list nat) : bool :=
  let others := filter (fun t => negb (t =? m)%nat) f in
  gfits (selects true m (level G)) (need_above G) 0 (filter (fun t => m <? t)%nat others)
  && gfits (selects false m (level G)) (need G) 0 (filter (fun t => negb (m <? t)%nat) others).
(* Whether an input is one of those that are counted. *)
Definition member (x : list nat) : bool :=
  let f := removelast x in let m := nth_label passed x in
  match claim (nth (K - 1) x 0%nat) m (count (fun t => t =? m)%nat f) (count (fun t => m <? t)%nat (filter (fun t => negb (t =? m)%nat) f)) with
  | Some G => in_groups m G f
  | None => false
  end.
End Core.

Lemma lsum_sides gg b f : lsum b f = lsum b (filter gg f) + lsum b (filter (fun t => negb (gg t)) f).
Proof. induction f as [|t f IH]; [reflexivity|]. cbn [lsum filter]. destruct (gg t); cbn [negb lsum]; lia. Qed.
Lemma lsum_ext b b' f : (forall t, In t f -> b t = b' t) -> lsum b f = lsum b' f.
Proof. induction f as [|t f IH]; intros E; [reflexivity|]. cbn [lsum]. rewrite (E t), IH; simpl; auto. intros; apply E; simpl; auto. Qed.
Lemma filter_all {A} (gg : A -> bool) l : (forall a, In a l -> gg a = true) -> filter gg l = l.
Proof. induction l as [|a l IH]; intros H; [reflexivity|]. cbn. rewrite (H a), IH; simpl; auto. intros; apply H; simpl; auto. Qed.

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
Variable slack : Z.
Variable passed : nat.
Variable steps : nat.
Variable blocks : nat -> nat -> list (list nat).
Variable claim : nat -> nat -> nat -> nat -> option grouped.
Notation top := (top V passed).
Notation P := (IZR (2 ^ p)).
Local Open Scope R_scope.
Variables cs cd ct : nat -> R.   (* what scores and values may differ by: it cancels *)
Hypothesis Hts : forall q t, IZR (tslo q t) <= P * (token_score M q t - cs q) <= IZR (tshi q t).
Hypothesis Hps : forall q j, IZR (pslo q j) <= P * position_score M q j <= IZR (pshi q j).
Hypothesis Hd : forall q o, IZR (dl q o) <= P * (direct M q o - cd q) <= IZR (du q o).
Hypothesis Ht : forall t o, IZR (tl t o) <= P * (token_value M t o - ct t) <= IZR (tu t o).
Hypothesis Hpv : forall j o, IZR (pl j o) <= P * position_value M j o <= IZR (pl j o) + 1.
Hypothesis Hslack : P * margin M <= IZR slack.
Hypothesis Hblocks : forall s m o, (s < steps)%nat -> (m < V)%nat -> (o < nO M)%nat -> exists B, In B (blocks s m) /\ In o B.

Section OneCell.
Variables (flo fhi : nat -> Z) (phi : nat -> nat -> Z).
Hypothesis Hflo : forall q, flo q = zmin (K - 1) (pslo q).
Hypothesis Hfhi : forall q, fhi q = zmax (K - 1) (pshi q).
Hypothesis Hphi : forall q s, phi q s = zmax s (tshi q).
Notation ref m q := (reference K tshi pshi fhi phi (top m) q).
Notation mk m := (mk_terms K dl du tl tu pl common slack (top m) m).
Notation wt m q t := (wpair expo (tslo q t + flo q - ref m q) (tshi q t + fhi q - ref m q)).

Lemma token_ok m B q t j o : In o B -> o <> m -> (t <= top m)%nat -> (j < K - 1)%nat ->
  IZR (lowprod (tD (mk m B) q + tT (mk m B) t) (wt m q t)) <= P * P * h M (IZR (ref m q) / P + cs q) q t j m o.
Proof.
  intros HB Hom Htm Hj. assert (PP := pw_pos p Hp).
  assert (C := zmin_le (K - 1) (pslo q) j Hj). assert (D := zmax_ge (K - 1) (pshi q) j Hj).
  rewrite <- Hflo in C. rewrite <- Hfhi in D. apply IZR_le in C, D.
  assert (T := Hts q t). assert (S' := Hps q j).
  apply (wpair_ok M); auto.
  - rewrite !minus_IZR, !plus_IZR.
    replace (P * (token_score M q t + position_score M q j - (IZR (ref m q) / P + cs q)))
      with (P * (token_score M q t - cs q) + P * position_score M q j - IZR (ref m q)) by (field; lra). lra.
  - unfold reference. assert (E := zmax_ge (S (top m)) (tshi q) t ltac:(lia)). rewrite <- Hphi in E. lia.
  - unfold mk_terms; cbn [tD tT]. rewrite !memo1_eq. eapply gap_ok; eauto. apply zmin_le; auto.
Qed.

Notation harms m q B := (harm V K expo tslo tshi pslo pshi passed m q (ref m q) (memo1 (S (top m)) (fun t => wt m q t)) (mk m B)).

(* A token of a class contributes at least the bound of its level. *)
Lemma grouped_ok above m G H lv f t : gfits (selects above m (level G)) lv 0 f = true -> In t f -> (t <= top m)%nat ->
  (gbound (selects above m (level G)) (gbounds (least V passed above m (level G) H) None lv) t <= H t)%Z.
Proof.
  intros F I Ht'. set (L := gbounds _ None lv).
  destruct (gfits_in _ _ _ _ t F I) as (i & k & J & St).
  destruct (gbound_in (selects above m (level G)) L t) as (i' & k' & b' & I' & St' & ->).
  { assert (X : In (i, k) (map fst L)) by (unfold L; now rewrite gbounds_fst).
    apply in_map_iff in X as ([[s2 k2] b2] & E & X). injection E as -> ->. exists i, k, b2. auto. }
  apply gbounds_in in I'. unfold least in I'.
  destruct (omin_le (S (top m)) (selects above m (level G) i') H t ltac:(lia) St') as (z & E & Lz). rewrite E in I'. lia.
Qed.

Lemma gclass_right s m c G q f : (s < steps)%nat -> (m < V)%nat -> length f = (K - 1)%nat -> (count (fun t => t =? m)%nat f = c)%nat ->
  Forall (fun t => (t <= top m)%nat) f -> in_groups m G f = true ->
  forallb (gclass_ok V passed m c G) (map (fun b => harm V K expo tslo tshi pslo pshi passed m q (ref m q) (memo1 (S (top m)) (fun t => wt m q t)) b)
                                 (map (mk m) (filter (has_rival m) (blocks s m)))) = true ->
  predicts M (f ++ [q]) m.
Proof.
  intros Hs Hm Hlen H1 Htop Hin Hb o Ho Hom. assert (PP := pw_pos p Hp).
  destruct (Hblocks s m o Hs Hm Ho) as (B & HB & HoB).
  rewrite forallb_forall in Hb. specialize (Hb (harms m q B)).
  assert (HR : In (mk m B) (map (mk m) (filter (has_rival m) (blocks s m)))).
  { apply in_map, filter_In. split; auto. apply existsb_exists. exists o. split; auto. now rewrite (proj2 (Nat.eqb_neq o m)). }
  specialize (Hb (in_map (fun b => harm V K expo tslo tshi pslo pshi passed m q (ref m q) (memo1 (S (top m)) (fun t => wt m q t)) b) _ _ HR)). unfold gclass_ok, harm in Hb. apply Z.ltb_lt in Hb. rewrite memo1_eq in Hb.
  set (r := IZR (ref m q) / P + cs q). apply (clear_denominator M (f ++ [q]) m o r HK).
  assert (Hlast : last M (f ++ [q]) = q) by (unfold last; rewrite app_nth2, Hlen, Nat.sub_diag by lia; reflexivity).
  rewrite Hlast.
  assert (EK := with_last M p Hp HK r q f m o Hlen).
  unfold h in EK at 1. rewrite EK. clear EK.
  set (C := lowprod (tD (mk m B) q + tT (mk m B) m) _) in *. set (H := memo1 (S (top m)) _) in *.
  set (over := gbounds (least V passed true m (level G) H) None (need_above G)) in *.
  set (under := gbounds (least V passed false m (level G) H) None (need G)) in *.
  set (b := fun t => if (t =? m)%nat then C else if (m <? t)%nat then gbound (selects true m (level G)) over t
                     else gbound (selects false m (level G)) under t).
  set (others := filter (fun t => negb (t =? m)%nat) f) in *. unfold in_groups in Hin. fold others in Hin. apply andb_prop in Hin as [Hover Hunder].
  assert (S1 : (Z.of_nat c * C + total under + total over <= lsum b f)%Z).
  { rewrite (lsum_split (fun t => (t =? m)%nat) C b b), H1; auto.
    2:{ intros t E. unfold b. now rewrite E. }
    fold others. rewrite (lsum_sides (fun t => m <? t)%nat b others).
    rewrite (lsum_ext b (gbound (selects true m (level G)) over) (filter (fun t => m <? t)%nat others)).
    2:{ intros t I. apply filter_In in I as [I E]. unfold b. rewrite E. apply filter_In in I as [_ N].
        now destruct (t =? m)%nat. }
    rewrite (lsum_ext b (gbound (selects false m (level G)) under) (filter (fun t => negb (m <? t)%nat) others)).
    2:{ intros t I. apply filter_In in I as [I E]. unfold b. apply filter_In in I as [_ N].
        destruct (t =? m)%nat; [easy|]. now destruct (m <? t)%nat. }
    assert (A := gbounds_fits _ (least V passed true m (level G) H) _ _ Hover).
    assert (B' := gbounds_fits _ (least V passed false m (level G) H) _ _ Hunder). fold over in A. fold under in B'. lia. }
  assert (S2 : IZR (lsum b f) <= P * P * rsum (K - 1) (fun j => h M r q (nth j f O) j m o)).
  { rewrite <- rsum_list, <- rsum_scal, Hlen. apply rsum_le. intros j Hj. set (t := nth j f O).
    assert (It : In t f) by (apply nth_In; lia). rewrite Forall_forall in Htop. assert (Tt := Htop t It).
    assert (HH : (t <> m -> b t <= H t)%Z).
    { intros N. assert (Io : In t others) by (apply filter_In; split; auto; now rewrite (proj2 (Nat.eqb_neq t m))).
      unfold b. rewrite (proj2 (Nat.eqb_neq t m) N). destruct (m <? t)%nat eqn:E.
      - apply (grouped_ok true m G H _ _ t Hover); auto. apply filter_In; auto.
      - apply (grouped_ok false m G H _ _ t Hunder); auto. apply filter_In. now rewrite E. }
    destruct (Nat.eq_dec t m) as [E|N].
    - unfold b. rewrite (proj2 (Nat.eqb_eq t m) E), E. unfold C. apply token_ok; auto. now rewrite E in Tt.
    - apply Rle_trans with (IZR (H t)); [apply IZR_le; auto|]. unfold H. rewrite !memo1_eq. apply token_ok; auto. }
  assert (S3 : IZR (lowprod (tD (mk m B) q + tLast (mk m B) q)
        (wpair expo (tslo q q + pslo q (K - 1)%nat - ref m q) (tshi q q + pshi q (K - 1)%nat - ref m q)))
     <= P * P * h M r q q (K - 1) m o) by (unfold r; eapply own_ok; eauto).
  set (ow := lowprod (tD (mk m B) q + tLast (mk m B) q) _) in *.
  assert (S4 : (0 < ow + lsum b f)%Z) by lia.
  apply IZR_lt in S4. rewrite plus_IZR in S4.
  apply Rmult_lt_reg_l with (P * P); [nra|]. rewrite Rmult_0_r, Rmult_plus_distr_l. lra.
Qed.
End OneCell.

Local Open Scope Z_scope.
Lemma count_others m f : count (fun t => m <? t)%nat (filter (fun t => negb (t =? m)%nat) f) = count (fun t => m <? t)%nat f.
Proof.
  induction f as [|t f IH]; [reflexivity|]. cbn [filter count]. destruct (Nat.eqb_spec t m) as [->|N]; cbn [negb count]; rewrite IH; auto.
  now rewrite Nat.ltb_irrefl.
Qed.

Lemma group_label q m c a f : labels passed q m c a = true -> count (fun t => t =? m)%nat f = c -> count (fun t => m <? t)%nat f = a ->
  nth_label passed (f ++ [q]) = m.
Proof.
  intros L Hc Ha. apply andb_prop in L as [L1 L2]. apply Nat.leb_le in L1. apply Nat.ltb_lt in L2.
  apply nth_label_spec; rewrite !count_app, ?Hc, ?Ha; cbn [count]; destruct (m <? q)%nat, (q =? m)%nat; lia.
Qed.

Theorem group_members_sound :
  group_total V K expo tslo tshi pslo pshi dl du tl tu pl common slack passed steps blocks claim
  <= cnt V all K (fun x => correct_nth passed M x && member K passed claim x).
Proof.
  replace K with (S (K - 1)) at 2 by lia. rewrite cnt_last. unfold group_total.
  set (flo := memo1 _ _). set (fhi := memo1 V (fun q => zmax _ _)). set (phi := memo2 V (S V) (fun q s => zmax _ _)).
  assert (Hflo : forall q, flo q = zmin (K - 1) (pslo q)) by (intros; unfold flo; now rewrite memo1_eq).
  assert (Hfhi : forall q, fhi q = zmax (K - 1) (pshi q)) by (intros; unfold fhi; now rewrite memo1_eq).
  assert (Hphi : forall q s, phi q s = zmax s (tshi q)) by (intros; unfold phi; now rewrite memo2_eq).
  set (counted := fun q f => correct_nth passed M (f ++ [q]) && member K passed claim (f ++ [q])).
  set (X := fun q m => cnt V all (K - 1) (fun f => counted q f && (nth_label passed (f ++ [q]) =? m)%nat)).
  transitivity (zsum V (fun m => zsum V (fun q => X q m))).
  2:{ rewrite zsum_swap. apply zsum_le; intros q _.
      apply (cnt_key V all (K - 1) (counted q) (fun f => nth_label passed (f ++ [q])) V). }
  apply zsum_le; intros m Hm. unfold glabel_total.
  assert (Htop : (S (top m) <= V)%nat) by (unfold GroupChains.top; destruct passed; lia).
  transitivity (zsum (S (top m)) (fun q => X q m)).
  2:{ apply zsum_range; [lia|]. intros; apply cnt_nonneg. }
  apply zsum_le; intros q Hq. unfold gcell_total, X.
  etransitivity; [|apply (cnt_key V all (K - 1) _ (count (fun t => (t =? m)%nat)) K)].
  apply zsum_le; intros c Hc.
  etransitivity; [|apply (cnt_key V all (K - 1) _ (fun f => count (fun t => m <? t)%nat (filter (fun t => negb (t =? m)%nat) f)) (S passed))].
  apply zsum_le; intros a Ha. destruct (claim q m c a) as [G|] eqn:Hclaim; [|apply cnt_nonneg].
  destruct (_ && _) eqn:E1; [|apply cnt_nonneg]. apply andb_prop in E1 as [Ec Eb].
  apply andb_prop in Ec as [Ec Es]. apply Nat.ltb_lt in Es. rewrite !memo1_eq in Eb.
  set (fit := fun f => (count (fun t => m <? t)%nat f =? a)%nat
    && (gfits (selects true m (level G)) (need_above G) 0 (filter (fun t => m <? t)%nat f)
        && gfits (selects false m (level G)) (need G) 0 (filter (fun t => negb (m <? t)%nat) f))).
  transitivity (cnt V all (K - 1) (fun f => (count (fun t => t =? m)%nat f =? c)%nat && fit (filter (fun t => negb (t =? m)%nat) f))).
  { rewrite cnt_split, size_one, Z.pow_1_l, Z.mul_1_r by (auto; lia). unfold gclass_size, fit.
    apply Z.mul_le_mono_nonneg_l; [apply binom_nonneg|]. rewrite cnt_sides, <- !Z.mul_assoc.
    apply Z.mul_le_mono_nonneg_l; [apply binom_nonneg|].
    assert (N : forall l sur n, (forall z k, In (z, k) l -> 0 <= z) -> 0 <= gc l sur n).
    { induction l as [|[z k] l IH]; intros sur n Hz; cbn [gc]; [destruct (_ && _); simpl; lia|].
      apply zsum_nonneg; intros i _. destruct (_ <=? _)%nat; [|lia]. apply Z.mul_nonneg_nonneg.
      - apply Z.mul_nonneg_nonneg; [apply binom_nonneg|]. apply Z.pow_nonneg, (Hz z k). simpl; auto.
      - apply IH. intros z' k' I. apply (Hz z' k'). simpl; auto. }
    assert (Sz : forall sel lv ok z k, In (z, k) (gsizes V sel lv ok) -> 0 <= z).
    { induction lv as [|[i k] r IH]; intros ok z k' I; [destruct I|]. destruct I as [I|I]; [inversion I; apply size_nonneg|eauto]. }
    apply Z.mul_le_mono_nonneg; try (apply N; intros; eapply Sz; eauto); apply gcnt. }
  apply cnt_mono. intros f [Hlen HF] Hi. unfold fit in Hi. apply andb_prop in Hi as [H1 H2]. apply andb_prop in H2 as [H2 H3].
  apply Nat.eqb_eq in H1, H2. assert (In' : in_groups m G f = true) by exact H3.
  assert (Hab : count (fun t => m <? t)%nat f = a) by (rewrite <- H2; symmetry; apply count_others).
  assert (L := group_label q m c a f Ec H1 Hab).
  assert (N : nth (K - 1) (f ++ [q]) 0%nat = q) by (rewrite app_nth2, Hlen, Nat.sub_diag by lia; reflexivity).
  assert (Mem : member K passed claim (f ++ [q]) = true).
  { unfold member. rewrite removelast_last, L, N, H1, H2, Hclaim. exact In'. }
  assert (Ft : Forall (fun t => (t <= top m)%nat) f).
  { apply Forall_forall. intros t It. rewrite Forall_forall in HF. destruct (HF t It) as [Tv _].
    unfold GroupChains.top. destruct passed as [|k] eqn:Ep; [|lia].
    destruct (Nat.le_gt_cases t m) as [|Lt]; auto. exfalso.
    apply (count_in (fun t => (m <? t)%nat)) in It; [|now apply Nat.ltb_lt]. apply andb_prop in Ec as [Ec _]. apply Nat.leb_le in Ec. lia. }
  unfold counted. rewrite correct_spec; rewrite ?L.
  - now rewrite Mem, Nat.eqb_refl, H1, Nat.eqb_refl, H2, Nat.eqb_refl.
  - eapply gclass_right; eauto.
Qed.

Theorem group_sound :
  group_total V K expo tslo tshi pslo pshi dl du tl tu pl common slack passed steps blocks claim <= n_correct_nth passed M.
Proof.
  etransitivity; [apply group_members_sound|]. unfold n_correct_nth. rewrite <- cnt_spec. apply cnt_mono.
  intros x _ H. now apply andb_prop in H.
Qed.
End Sound.
