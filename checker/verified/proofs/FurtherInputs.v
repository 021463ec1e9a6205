(* Rule further-inputs (FORMAT.md 5.5), and enumeration in parts: inputs evaluated one by one, none of which classes count. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool FinFun.
From CompactProofs Require Import Semantics Counting Labels Exponential PrefixChains Enumeration GroupChains.
Import ListNotations.

(* Lexicographic order: rows that increase strictly are all different. *)
Fixpoint before (a b : list nat) : bool :=
  match a, b with
  | x :: a', y :: b' => (x <? y)%nat || ((x =? y)%nat && before a' b')
  | _, _ => false
  end.
Fixpoint increasing (rows : list (list nat)) : bool :=
  match rows with
  | a :: ((b :: _) as rest) => before a b && increasing rest
  | _ => true
  end.

Lemma before_irrefl a : before a a = false.
Proof. induction a; simpl; auto. now rewrite Nat.ltb_irrefl, Nat.eqb_refl, IHa. Qed.
Lemma before_trans a : forall b c, before a b = true -> before b c = true -> before a c = true.
Proof.
  induction a as [|x a IH]; intros [|y b] [|z c]; simpl; try discriminate. intros A B.
  apply orb_prop in A. apply orb_prop in B. apply orb_true_iff. rewrite !Nat.ltb_lt, !andb_true_iff, !Nat.eqb_eq in *.
  destruct A as [A|[-> A]], B as [B|[-> B]]; [left; lia|left; lia|left; lia|right; eauto].
Qed.
Lemma increasing_first a rest x : increasing (a :: rest) = true -> In x rest -> before a x = true.
Proof.
  revert a; induction rest as [|b rest IH]; intros a H I; [destruct I|].
  apply andb_prop in H as [H1 H2]. destruct I as [<-|I]; auto. eapply before_trans; [exact H1|]. now apply IH.
Qed.
Lemma increasing_nodup rows : increasing rows = true -> NoDup rows.
Proof.
  induction rows as [|a rest IH]; intros H; constructor.
  - intros I. apply (increasing_first a rest a) in H; auto. now rewrite before_irrefl in H.
  - apply IH. destruct rest; auto. simpl in H. now apply andb_prop in H.
Qed.

Lemma all_lists_nodup V n : NoDup (all_lists V n).
Proof.
  induction n as [|n IH]; [repeat constructor; auto|]. simpl.
  assert (F : forall l, NoDup l -> NoDup (flat_map (fun t => map (cons t) (all_lists V n)) l)).
  { induction l as [|t l IHl]; intros D; [constructor|]. inversion D; subst. simpl.
    assert (N1 : NoDup (map (cons t) (all_lists V n))) by (apply Injective_map_NoDup; auto; intros ? ? E; now inversion E).
    specialize (IHl H2). clear IH D.
    assert (Dis : forall x, In x (map (cons t) (all_lists V n)) -> ~ In x (flat_map (fun t => map (cons t) (all_lists V n)) l)).
    { intros x Hx Hy. apply in_map_iff in Hx as (r & <- & _). apply in_flat_map in Hy as (t' & It & Hy).
      apply in_map_iff in Hy as (r' & E & _). inversion E; subst. auto. }
    revert Dis N1. generalize (map (cons t) (all_lists V n)). intros L Dis N1. induction L as [|x L IHL]; simpl; auto.
    inversion N1; subst. constructor.
    - rewrite in_app_iff. intros [I|I]; auto. apply (Dis x); simpl; auto.
    - apply IHL; auto. intros y Hy. apply Dis; simpl; auto. }
  apply F, seq_NoDup.
Qed.

Section Rows.
Variables (V K O : nat) (p : Z) (expo : Z -> Z * Z).
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable slack : Z.
Variable passed : nat.

(* The greatest score of a row's positions, and, relative to it, at least w (v(m) - v(o) - margin), in units of 2^-p. *)
Definition row_reference (q : nat) (x : list nat) : Z := zmax K (fun j => tshi q (nth j x 0%nat) + pshi q j)%Z.
Definition term_lo (q : nat) (ref : Z) (m t j o : nat) : Z := fshr (lowprod (gap dl du tl tu pl slack q m t j o)
  (wpair expo (tslo q t + pslo q j - ref) (tshi q t + pshi q j - ref))) p.
(* The same for all positions of a row at once: weights are computed once for all rivals. *)
Definition row_weights (q : nat) (x : list nat) : nat -> Z * Z :=
  let ref := row_reference q x in
  memo1 K (fun j => let t := nth j x 0%nat in wpair expo (tslo q t + pslo q j - ref)%Z (tshi q t + pshi q j - ref)%Z).
Definition right_row (q m : nat) (x : list nat) : bool :=
  let ws := row_weights q x in
  forallb (fun o => (0 <? zsum K (fun j => fshr (lowprod (gap dl du tl tu pl slack q m (nth j x 0%nat) j o) (ws j)) p))%Z) (rivals O m).
Lemma right_row_eq q m x :
  right_row q m x = forallb (fun o => (0 <? zsum K (fun j => term_lo q (row_reference q x) m (nth j x 0%nat) j o))%Z) (rivals O m).
Proof.
  unfold right_row. induction (rivals O m) as [|o l IH]; simpl; auto. rewrite IH. do 2 f_equal.
  apply zsum_ext. intros j _. unfold row_weights, term_lo. now rewrite memo1_eq.
Qed.
(* All that is asked of a row: it is an input, evaluated as right, that no class holds. *)
Definition row_ok (is_member : list nat -> bool) (x : list nat) : bool :=
  (length x =? K)%nat && forallb (fun t => t <? V)%nat x && negb (is_member x)
  && right_row (nth (K - 1) x 0%nat) (nth_label passed x) x.
Definition listed_total (is_member : list nat -> bool) (rows : list (list nat)) : Z :=
  if increasing rows then Z.of_nat (length (filter (row_ok is_member) rows)) else 0%Z.
End Rows.

Section Sound.
Variable M : model.
Notation V := (nV M). Notation K := (nK M). Notation O := (nO M).
Variables (p : Z) (expo : Z -> Z * Z).
Hypothesis Hp : (0 <= p)%Z.
Hypothesis expo_ok :
  forall y, (0 <= y)%Z -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (expo y)))%R.
Hypothesis HK : (0 < K)%nat.
Variables tslo tshi pslo pshi dl du tl tu pl : nat -> nat -> Z.
Variable slack : Z.
Variable passed : nat.
Notation P := (IZR (2 ^ p)).
Local Open Scope R_scope.
Variables cs cd ct : nat -> R.   (* what scores and values may differ by: it cancels *)
Hypothesis Hts : forall q t, IZR (tslo q t) <= P * (token_score M q t - cs q) <= IZR (tshi q t).
Hypothesis Hps : forall q j, IZR (pslo q j) <= P * position_score M q j <= IZR (pshi q j).
Hypothesis Hd : forall q o, IZR (dl q o) <= P * (direct M q o - cd q) <= IZR (du q o).
Hypothesis Ht : forall t o, IZR (tl t o) <= P * (token_value M t o - ct t) <= IZR (tu t o).
Hypothesis Hpv : forall j o, IZR (pl j o) <= P * position_value M j o <= IZR (pl j o) + 1.
Hypothesis Hslack : P * margin M <= IZR slack.
Notation ok := (row_ok V K O p expo tslo tshi pslo pshi dl du tl tu pl slack passed).

Lemma row_right is_member x : ok is_member x = true ->
  In x (all_lists V K) /\ correct_nth passed M x = true /\ is_member x = false.
Proof.
  unfold row_ok. rewrite right_row_eq. set (q := nth (K - 1) x 0%nat). set (m := nth_label passed x). intros H.
  apply andb_prop in H as [H H3]. apply andb_prop in H as [H H2]. apply andb_prop in H as [H0 H1].
  apply Nat.eqb_eq in H0. apply negb_true_iff in H2. rewrite forallb_forall in H1, H3. repeat split; auto.
  - apply all_lists_spec. split; auto. apply Forall_forall. intros t It. now apply Nat.ltb_lt, H1.
  - apply correct_spec. fold m. intros o Ho Hom. assert (PP := pw_pos p Hp).
    set (r := IZR (row_reference K tshi pshi q x) / P + cs q). apply (clear_denominator M x m o r HK). change (last M x) with q.
    assert (Hr : In o (rivals O m)).
    { apply filter_In. split; [apply in_seq; lia|]. now rewrite (proj2 (Nat.eqb_neq o m)). }
    specialize (H3 o Hr). apply Z.ltb_lt, IZR_lt in H3.
    rewrite <- rsum_IZR in H3. apply Rmult_lt_reg_l with P; [lra|]. rewrite Rmult_0_r, <- rsum_scal.
    eapply Rlt_le_trans; [exact H3|]. apply rsum_le. intros j Hj.
    apply (hlo_ok M p expo Hp expo_ok HK tslo tshi pslo pshi dl du tl tu pl slack cs cd ct Hts Hps Hd Ht Hpv Hslack q _ m (nth j x 0%nat) j o).
    exact (zmax_ge K (fun j => tshi q (nth j x 0%nat) + pshi q j)%Z j Hj).
Qed.

Local Open Scope Z_scope.
(* Members are counted in one way, rows in another: no input is counted twice. *)
Theorem listed_sound is_member rows count :
  count <= cnt V all K (fun x => correct_nth passed M x && is_member x) ->
  count + listed_total V K O p expo tslo tshi pslo pshi dl du tl tu pl slack passed is_member rows <= n_correct_nth passed M.
Proof.
  rewrite cnt_spec. intros H. unfold listed_total. set (A := filter (fun x => correct_nth passed M x && is_member x) (all_lists V K)) in *.
  assert (Apart : forall rows', NoDup rows' -> (forall x, In x rows' -> ok is_member x = true) ->
                  Z.of_nat (length A) + Z.of_nat (length rows') <= n_correct_nth passed M).
  { intros rows' N R. unfold n_correct_nth. rewrite <- Nat2Z.inj_add, <- app_length. apply Nat2Z.inj_le. apply NoDup_incl_length.
    - assert (NA : NoDup A) by (apply NoDup_filter, all_lists_nodup).
      assert (D : forall x, In x A -> ~ In x rows').
      { intros x Ia Ir. apply filter_In in Ia as [_ Ia]. apply andb_prop in Ia as [_ Ia].
        destruct (row_right is_member x (R x Ir)) as (_ & _ & E). congruence. }
      clear -N NA D. induction A as [|a l IH]; simpl; auto. inversion NA; subst. constructor.
      + rewrite in_app_iff. intros [I|I]; auto. apply (D a); simpl; auto.
      + apply IH; auto. intros x I. apply D; simpl; auto.
    - intros x I. apply filter_In. apply in_app_iff in I as [I|I].
      + apply filter_In in I as [I E]. apply andb_prop in E as [E _]. auto.
      + destruct (row_right is_member x (R x I)) as (? & ? & _). auto. }
  destruct (increasing rows) eqn:E.
  - assert (F : forall x, In x (filter (ok is_member) rows) -> ok is_member x = true) by (intros x I; now apply filter_In in I).
    specialize (Apart _ (NoDup_filter (ok is_member) (increasing_nodup rows E)) F). lia.
  - specialize (Apart [] (NoDup_nil _) ltac:(intros ? [])). simpl in Apart. lia.
Qed.
End Sound.
