(* Rule enumeration over all inputs: every input evaluated by table look-ups. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels Exponential PrefixChains.
Import ListNotations.
Open Scope Z_scope.

Fixpoint addl (a b : list Z) : list Z :=
  match a, b with x :: a', y :: b' => (x + y) :: addl a' b' | _, _ => [] end.
Lemma addl_map {A} (f h : A -> Z) l : addl (map f l) (map h l) = map (fun a => f a + h a) l.
Proof. induction l; simpl; congruence. Qed.

Section Enum.
Variable h : nat -> nat -> list Z.
Variable m : nat.
Fixpoint enum (n j : nat) (acc : list Z) (seen : bool) : Z :=
  match n with
  | O => if seen && forallb (Z.ltb 0) acc then 1 else 0
  | S n' => if negb seen && (n' =? 0)%nat then enum n' (S j) (addl acc (h j m)) true
            else zsum (S m) (fun t => enum n' (S j) (addl acc (h j t)) (seen || (t =? m)%nat))
  end.
Fixpoint sums (acc : list Z) (j : nat) (f : list nat) : list Z :=
  match f with [] => acc | t :: r => sums (addl acc (h j t)) (S j) r end.

Lemma enum_ok V (HV : (m < V)%nat) n : forall j acc seen,
  enum n j acc seen <= cnt V all n (fun f => forallb (fun t => t <=? m)%nat f && (seen || existsb (fun t => t =? m)%nat f)
                                           && forallb (Z.ltb 0) (sums acc j f)).
Proof.
  induction n; intros j acc seen.
  - simpl. rewrite orb_false_r. destruct (seen && _); simpl; lia.
  - cbn [enum cnt all]. destruct (negb seen && (n =? 0)%nat).
    { etransitivity; [|apply (zsum_range (S m)); [lia|intros; apply cnt_nonneg]]. cbn [zsum].
      match goal with |- _ <= zsum m ?F + _ => assert (0 <= zsum m F) by (apply zsum_nonneg; intros; apply cnt_nonneg) end.
      etransitivity; [apply IHn|]. etransitivity; [|apply Z.add_le_mono_r; eassumption]. rewrite Z.add_0_l.
      apply cnt_mono. intros f _ Hf. simpl. rewrite Nat.leb_refl, Nat.eqb_refl, orb_true_r. exact Hf. }
    etransitivity; [|apply (zsum_range (S m)); [lia|intros; apply cnt_nonneg]].
    apply zsum_le; intros t Ht. etransitivity; [apply IHn|]. apply cnt_mono. intros f _ Hf.
    simpl. rewrite (proj2 (Nat.leb_le t m)) by lia. now rewrite orb_assoc.
Qed.

Lemma sums_map {A} (hh : nat -> nat -> A -> Z) (l : list A) (Hh : forall j t, h j t = map (hh j t) l) f : forall j a,
  sums (map a l) j f = map (fun o => a o + zsum (length f) (fun i => hh (j + i)%nat (nth i f O) o)) l.
Proof.
  induction f as [|t f IH]; intros j a; simpl.
  - apply map_ext; intros; lia.
  - rewrite Hh, addl_map, IH. apply map_ext; intros o.
    assert (S1 : forall n F, zsum (S n) F = F O + zsum n (fun i => F (S i))) by (induction n; intros; cbn [zsum] in *; [lia|rewrite IHn; lia]).
    change (zsum (length f) ?F + ?x) with (zsum (S (length f)) F).
    transitivity (a o + zsum (S (length f)) (fun i => hh (j + i)%nat (nth i (t :: f) O) o)); [|reflexivity].
    rewrite S1. simpl nth. rewrite Nat.add_0_r.
    erewrite (zsum_ext _ (fun i => hh (j + S i)%nat _ o)); [|intros; rewrite Nat.add_succ_r; reflexivity]. simpl. lia.
Qed.
End Enum.

Section Brute.
Variables (V K O : nat) (p : Z) (expo : Z -> Z * Z).
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable slack : Z.

Definition gap (q m t j o : nat) : Z := (dl q m - du q o) + (tl t m - tu t o) + (pl j m - pl j o) - 1 - slack.
Definition bref (q m : nat) : Z := zmax (S m) (tshi q) + zmax K (pshi q).
Definition rivals (m : nat) : list nat := filter (fun o => negb (o =? m)%nat) (seq 0 O).
Definition hrow (q m : nat) (ref : Z) (rv : list nat) (j t : nat) : list Z :=
  let w := wpair expo (tslo q t + pslo q j - ref) (tshi q t + pshi q j - ref) in
  map (fun o => fshr (lowprod (gap q m t j o) w) p) rv.
Definition cell_count (q m : nat) : Z :=
  let ref := bref q m in let rv := rivals m in
  let h := memo2 K (S m) (hrow q m ref rv) in
  enum h m (K - 1) 0 (h (K - 1)%nat q) (q =? m)%nat.
Definition brute_total : Z := zsum V (fun q => zsum V (fun m => if (q <=? m)%nat then cell_count q m else 0)).
End Brute.

Section Sound.
Variable M : model.
Notation V := (nV M). Notation K := (nK M). Notation O := (nO M).
Variables (p : Z) (expo : Z -> Z * Z).
Hypothesis Hp : 0 <= p.
Hypothesis expo_ok :
  forall y, (0 <= y)%Z -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (expo y)))%R.
Hypothesis HK : (0 < K)%nat.
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable slack : Z.
Notation P := (IZR (2 ^ p)).
Local Open Scope R_scope.
Variables cs cd ct : nat -> R.   (* what scores and values may differ by: it cancels *)
Hypothesis Hts : forall q t, IZR (tslo q t) <= P * (token_score M q t - cs q) <= IZR (tshi q t).
Hypothesis Hps : forall q j, IZR (pslo q j) <= P * position_score M q j <= IZR (pshi q j).
Hypothesis Hd : forall q o, IZR (dl q o) <= P * (direct M q o - cd q) <= IZR (du q o).
Hypothesis Ht : forall t o, IZR (tl t o) <= P * (token_value M t o - ct t) <= IZR (tu t o).
Hypothesis Hpv : forall j o, IZR (pl j o) <= P * position_value M j o <= IZR (pl j o) + 1.
Hypothesis Hslack : P * margin M <= IZR slack.

(* ref: at least the score of the token t at position j. *)
Definition hlo q ref m t j o : Z := fshr (lowprod (gap dl du tl tu pl slack q m t j o)
  (wpair expo (tslo q t + pslo q j - ref) (tshi q t + pshi q j - ref))) p.

Lemma bref_ge q m t j : (t <= m)%nat -> (j < K)%nat -> (tshi q t + pshi q j <= bref K tshi pshi q m)%Z.
Proof.
  intros. unfold bref. assert (A := zmax_ge (S m) (tshi q) t ltac:(lia)). assert (B := zmax_ge K (pshi q) j ltac:(lia)). lia.
Qed.
Lemma hlo_ok q ref m t j o : (tshi q t + pshi q j <= ref)%Z -> IZR (hlo q ref m t j o) <= P * h M (IZR ref / P + cs q) q t j m o.
Proof.
  intros Href. assert (PP := pw_pos p Hp).
  apply Rmult_le_reg_r with P; [lra|]. eapply Rle_trans; [apply fshr_le; auto|].
  replace (P * h M (IZR ref / P + cs q) q t j m o * P) with (P * P * h M (IZR ref / P + cs q) q t j m o) by ring.
  assert (T := Hts q t); assert (S' := Hps q j).
  apply (wpair_ok M); auto.
  - rewrite !minus_IZR, !plus_IZR.
    replace (P * (token_score M q t + position_score M q j - (IZR ref / P + cs q)))
      with (P * (token_score M q t - cs q) + P * position_score M q j - IZR ref) by (field; lra). lra.
  - lia.
  - unfold gap. rewrite !minus_IZR, !plus_IZR, !minus_IZR. unfold v.
    assert (H1 := Hd q m); assert (H2 := Hd q o); assert (H3 := Ht t m); assert (H4 := Ht t o).
    assert (H5 := Hpv j m); assert (H6 := Hpv j o). lra.
Qed.

Theorem brute_sound : (brute_total V K O p expo tslo tshi pslo pshi dl du tl tu pl slack <= n_correct M)%Z.
Proof.
  unfold n_correct_nth. rewrite <- cnt_spec. replace K with (S (K - 1)) at 2 by lia. rewrite cnt_last. unfold brute_total.
  apply zsum_le; intros q _.
  etransitivity; [|apply (cnt_key V all (K - 1) (fun f => correctb M (f ++ [q])) (fun f => max_label (f ++ [q])) V)].
  apply zsum_le; intros m Hm. destruct (Nat.leb_spec q m) as [Hqm|]; [|apply cnt_nonneg].
  unfold cell_count. etransitivity; [apply (enum_ok _ _ V Hm)|]. apply cnt_mono. intros f [Hlen _] Hf.
  apply andb_prop in Hf as [Hf H3]. apply andb_prop in Hf as [H1 H2]. rewrite forallb_forall in H1.
  assert (L : max_label (f ++ [q]) = m).
  { apply Nat.le_antisymm.
    - apply max_label_le. intros t It. apply in_app_iff in It as [It|[<-|[]]]; auto. now apply Nat.leb_le, H1.
    - apply in_le_max, in_app_iff. apply orb_prop in H2 as [H2|H2].
      + apply Nat.eqb_eq in H2; subst; right; simpl; auto.
      + apply existsb_exists in H2 as (t & It & E). apply Nat.eqb_eq in E; subst; auto. }
  rewrite correct_spec; change (nth_label 0 (f ++ [q])) with (max_label (f ++ [q])); rewrite L; [now rewrite Nat.eqb_refl|]. intros o Ho Hom.
  assert (PP := pw_pos p Hp). set (r := IZR (bref K tshi pshi q m) / P + cs q). apply (clear_denominator M (f ++ [q]) m o r HK).
  assert (Hlast : last M (f ++ [q]) = q) by (unfold last; rewrite app_nth2, Hlen, Nat.sub_diag by lia; reflexivity).
  rewrite Hlast. replace K with (S (K - 1)) at 1 by lia. cbn [rsum].
  rewrite app_nth2, Hlen, Nat.sub_diag by lia. cbn [nth].
  rewrite memo2_eq in H3.
  change (hrow p expo tslo tshi pslo pshi dl du tl tu pl slack q m (bref K tshi pshi q m) (rivals O m) (K - 1) q)
    with (map (fun o => hlo q (bref K tshi pshi q m) m q (K - 1)%nat o) (rivals O m)) in H3.
  rewrite (sums_map _ (fun j t o => hlo q (bref K tshi pshi q m) m t j o)) in H3 by (intros; rewrite memo2_eq; reflexivity).
  rewrite forallb_forall in H3.
  assert (Hr : In o (rivals O m)).
  { apply filter_In. split; [apply in_seq; lia|]. now rewrite (proj2 (Nat.eqb_neq o m)). }
  specialize (H3 _ (in_map _ _ _ Hr)). apply Z.ltb_lt, IZR_lt in H3. rewrite plus_IZR, Hlen in H3.
  assert (S1 := hlo_ok q (bref K tshi pshi q m) m q (K - 1) o (bref_ge q m q (K - 1) Hqm ltac:(lia))). fold r in S1.
  assert (S2 : IZR (zsum (K - 1) (fun i => hlo q (bref K tshi pshi q m) m (nth i f 0%nat) (0 + i) o))
               <= P * rsum (K - 1) (fun j => h M r q (nth j f 0%nat) j m o)).
  { rewrite <- rsum_scal.
    rewrite <- rsum_IZR. apply rsum_le. intros j Hj. apply hlo_ok, bref_ge; [|lia]. apply Nat.leb_le, H1, nth_In. lia. }
  assert (E1 : rsum (K - 1) (fun j => w M r q (nth j (f ++ [q]) 0%nat) j * (v M q (nth j (f ++ [q]) 0%nat) j m - v M q (nth j (f ++ [q]) 0%nat) j o - margin M))
             = rsum (K - 1) (fun j => h M r q (nth j f 0%nat) j m o)).
  { apply rsum_ext; intros j Hj. rewrite app_nth1 by lia. reflexivity. }
  rewrite E1. change (w M r q q (K - 1) * (v M q q (K - 1) m - v M q q (K - 1) o - margin M)) with (h M r q q (K - 1) m o).
  apply Rmult_lt_reg_l with P; [lra|]. rewrite Rmult_0_r, Rmult_plus_distr_l. lra.
Qed.
End Sound.
