(* One read proved for regions, all reads together (rules regions and all-reads), and how many inputs a task has. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Exponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput
  ReadingOrder Boxes OneLayer AfterAttention Regions OneRead.
Import ListNotations.
Open Scope Z_scope.

Section RegionsOfOneRead.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable layer : nat.
Variable M : automaton.
Variables number states : nat.
Variable by_state : bool.
Variable first : nat -> nat -> option spot.
Variable reference : nat -> nat -> Z.
Variable centre : nat -> Z.
Variable range : box.
Variable after : functions.
Variable cuts : nat.
Variable where_to_cut : box -> nat.
Variable term : nat -> nat -> nat -> option box.
Variable ready : nat -> option known.
Variable endings : nat -> nat -> Z * box.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation at_position := (position M number).
Notation steps := (steps M number).
Notation W := (n_heads A * S (d_head A))%nat.
Definition leads_region (q u best : nat) (sums : box) : bool :=
  match ready q, read_box A p range sums with
  | Some base, Some b => leads_cut A e p mn md after where_to_cut cuts base best b
  | _, _ => false
  end.
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hmd : (0 < md)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd
  (expo y)))%R.
Hypothesis Hd : (0 < d_model A)%nat.
Hypothesis Hdh : (0 < d_head A)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= n_heads A)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end.
Hypothesis Hlayers : n_layers A = S layer.
Hypothesis Hpositive : positive A.
Notation RT := (map_transformer (real e) T).
Notation margin := (IZR mn / IZR md)%R.
Variable sym : list nat -> nat -> nat.   (* of an input: the symbol at a position *)
Hypothesis Symbol : forall x i s, (i < K)%nat -> state_after M x (S i) = Some s ->
  symbol_of by_state s (nth (order M i) x O) = sym x (order M i).
Hypothesis Pads : forall x j, is_pad A (sym x j) = is_pad A (token x j).
Hypothesis Spot : forall x j s, In x (all_lists V K) /\ state_after M x K <> None -> (j < K)%nat -> first j (sym x j) = Some s ->
  spot_ok A e p (blocks T layer) (stream A RT x layer) j s /\ Transformers.defined A RT x layer j = true.
Hypothesis Hafter : after = functions_of A e p T expo layer.
Hypothesis Hterm : forall q t j, term q t j = term_of A e p T expo layer at_position first reference centre range q t j.
Hypothesis Hready : forall q, ready q = known_of A e p T layer at_position first centre q.
Hypothesis Hendings : forall q s, endings q s = going_on A M number states W by_state term q (K - steps) steps s.

Theorem regions_faithful : faithful A p M number states RT margin W by_state term leads_region endings.
Proof.
  exists sym, (fun x k j => real_term A e p T layer at_position reference centre x (sym x) k j).
  refine (conj Symbol (conj _ (conj _ (conj _ (conj _ Hendings))))).
  - intros x j b Lv At J Tm. rewrite Hterm in Tm. eapply term_ok; eauto. intros i s [Hi _] Fi. now apply Spot.
  - intros q y j U. rewrite Hterm. unfold term_of, looks_at. unfold unseen in U. apply andb_prop in U as [B L].
    apply negb_true_iff in B. apply Nat.ltb_lt in L. rewrite B, (proj2 (Nat.leb_gt j at_position) L). cbn [orb andb]. eauto.
  - intros x j k U. unfold real_term. now rewrite (unseen_sees A M number x j U).
  - intros x u best b Lv At Ts Sums Lb Ld. unfold leads_region in Ld.
    destruct (ready (sym x at_position)) as [base|] eqn:Rq; [|discriminate].
    destruct (read_box A p range b) as [z|] eqn:Rb; [|discriminate]. rewrite Hready in Rq.
    assert (Spots : forall j s, matters A at_position x j -> first j (sym x j) = Some s ->
      spot_ok A e p (blocks T layer) (stream A RT x layer) j s) by (intros j s [J _] F; now apply Spot).
    assert (Vd : forall j, (j < K)%nat -> valued A e p T layer at_position centre range x j).
    { intros j J. destruct (Ts j J) as [c Tc]. rewrite Hterm in Tc. eapply term_valued; eauto. }
    destruct (read_box_ok A e p T layer at_position reference centre range Hp Hd Hdh HG Heps x At (sym x) b z Vd Sums Rb) as [Ib
      Pos].
    destruct (known_ok A e p T layer at_position first centre Hp He x (sym x) At Spots base Rq) as (_ & v0 & -> & Bv).
    assert (Lead := leads_cut_ok A e p mn md T expo layer after where_to_cut Hp He Hmd expo_ok Hd Heps Hpositive Hafter x
      at_position _ _ (fun i => attention_value A e p T layer at_position reference centre Hd Hdh HG x At (sym x) i Pos) v0 Bv
      Hlayers best Lb cuts z Ib Ld).
    apply right_at_iff. repeat split; auto.
    + rewrite Hlayers. cbn [Transformers.defined]. rewrite (norms_defined A Hd Heps Hpositive), orb_true_r, andb_true_r.
      assert (Known : forall l, (l < K)%nat -> (exists s, first l (sym x l) = Some s) ->
        Transformers.defined A RT x layer l && heads_defined A (map_block (real e) (blocks T layer)) (stream A RT x layer) l =
          true).
      { intros l Ll [s Fs]. destruct (Spot x l s Lv Ll Fs) as ((_ & _ & _ & _ & D & _) & D'). now rewrite D, D'. }
      apply forallb_forall. intros l Hl. apply in_seq in Hl. destruct (sees A x at_position l) eqn:See; cbn [orb negb andb].
      * destruct (Ts l ltac:(lia)) as [c Tc]. rewrite Hterm in Tc. apply Known; [lia|].
        exact (term_spot A e p T expo layer at_position first reference centre range x (sym x) (Pads x) l c Tc See).
      * destruct (Nat.eqb_spec l at_position) as [->|]; [|auto]. apply (Known at_position At). unfold known_of, base_of in Rq.
        cbv zeta in Rq. destruct (first at_position (sym x at_position)) as [s|]; [eauto|discriminate].
    + exact (norms_defined A Hd Heps Hpositive _).
Qed.
End RegionsOfOneRead.

(* How many inputs there are, at most. *)
Section Number.
Variable A : architecture.
Variable M : automaton.
Variable states : nat.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Fixpoint ways (n i : nat) : nat -> Z :=
  match n with
  | O => fun _ => 1
  | S k => let next := ways k (S i) in
    memo1 states (fun s => zsum V (fun t => match transition M i s t with Some s' => if due M (S i) s' then next s' else 0 |
      None => 0 end))
  end.
Fixpoint runs (n i s : nat) (y : list nat) : bool :=
  match n, y with
  | O, [] => true
  | S k, t :: rest => match transition M i s t with Some s' => due M (S i) s' && runs k (S i) s' rest | None => false end
  | _, _ => false
  end.
Lemma ways_cnt n : forall i s, ways n i s = cnt V all n (runs n i s).
Proof.
  induction n as [|n IH]; intros i s; [reflexivity|]. cbn [ways cnt]. rewrite memo1_eq. apply zsum_ext. intros t _.
  cbn [all runs].
  destruct (transition M i s t) as [s'|]; [|now rewrite cnt_false]. destruct (due M (S i) s'); cbn [andb];
    [|now rewrite cnt_false].
  rewrite IH. reflexivity.
Qed.
Variable back : nat -> nat.
Hypothesis Inverse : inverse K back (order M) = true.
Definition in_order (x : list nat) : list nat := unread K (order M) x.
Lemma run_due x found : run M x K = Some found -> forall i s, (i <= K)%nat -> state_after M x i = Some s -> due M i s = true.
Proof.
  unfold run. destruct (state_after M x K); [|discriminate]. intros F i s Hi S. apply due_iff. intros r Hr E.
  assert (G : forall l r0 found, outputs_from M x r0 l = Some found -> forall j, (j < length l)%nat -> exists s' o, state_after
    M x (snd (nth j l (O, O))) = Some s' /\
    output M (r0 + j) s' = Some o).
  { induction l as [|[a b] l IH]; intros r0 fd Fd j Hj; cbn in Hj; [lia|]. cbn [outputs_from] in Fd.
    destruct (state_after M x b) as [s1|] eqn:S1; [|discriminate].
    destruct (output M r0 s1) as [o1|] eqn:O1; [|discriminate]. destruct (outputs_from M x (Datatypes.S r0) l) as [others|]
      eqn:Os; [|discriminate].
    destruct j as [|j]; [exists s1, o1; rewrite Nat.add_0_r; auto|]. destruct (IH (Datatypes.S r0) others Os j ltac:(lia)) as
      (s2 & o2 & S2 & O2).
    exists s2, o2. split; auto. now replace (r0 + Datatypes.S j)%nat with (Datatypes.S r0 + j)%nat by lia. }
  destruct (G (reads M) O found F r ltac:(lia)) as (s' & o & S' & O'). cbn [Nat.add] in O'. rewrite E in S'.
  assert (s' = s) by congruence. subst s'. congruence.
Qed.
Lemma run_alive x i : forall n, state_after M x (i + n) <> None -> state_after M x i <> None.
Proof. induction n as [|n IH]; [now rewrite Nat.add_0_r|]. rewrite Nat.add_succ_r. cbn [state_after]. intros N E.
destruct (state_after M x (i + n)) eqn:Q; [apply IH; congruence|easy]. Qed.
Lemma runs_of x found : run M x K = Some found -> forall n i s y, (n + i = K)%nat -> length y = n -> (forall k, (k < n)%nat ->
  nth k y O = nth (order M (i + k)) x O) ->
  state_after M x i = Some s -> runs n i s y = true.
Proof.
  intros Rn. assert (End : state_after M x K <> None) by (unfold run in Rn; destruct (state_after M x K); congruence).
  induction n as [|n IH]; intros i s y E L N S; destruct y as [|t y]; try discriminate; auto. cbn [runs]. injection L as L.
  assert (T0 := N O ltac:(lia)). cbn [nth] in T0. rewrite Nat.add_0_r in T0. subst t.
  assert (Nx : state_after M x (Datatypes.S i) <> None) by (apply (run_alive x (Datatypes.S i) n);
    now replace (Datatypes.S i + n)%nat with K by lia).
  destruct (state_after M x (Datatypes.S i)) as [s'|] eqn:S'; [|easy]. assert (Tr := S'). cbn [state_after] in Tr.
  rewrite S in Tr. rewrite Tr.
  rewrite (run_due x found Rn (Datatypes.S i) s' ltac:(lia) S'). cbn [andb]. apply IH; auto; [lia|]. intros k Hk.
  specialize (N (Datatypes.S k) ltac:(lia)).
  cbn [nth] in N. rewrite N. do 2 f_equal. lia.
Qed.
Theorem inputs_le : Z.of_nat (length (inputs (By_automaton M) V K)) <= ways K O O.
Proof.
  unfold inputs. rewrite <- cnt_spec, ways_cnt, (cnt_spec V K (runs K 0 0)).
  apply (count_unread V K back (order M) Inverse). intros x Ix Px. cbn [truth] in Px.
  destruct (run M x K) as [found|] eqn:Rn; [|discriminate].
  apply all_lists_spec in Ix as [Lx _]. apply (runs_of x found Rn); auto; try lia.
  - unfold unread. now rewrite map_length, seq_length.
  - intros k Hk. cbn [Nat.add]. unfold unread. rewrite (nth_indep _ O (nth (order M K) x O)) by now rewrite map_length,
    seq_length.
    rewrite (map_nth (fun j => nth (order M j) x O)), seq_nth by auto. now rewrite Nat.add_0_l.
Qed.
End Number.

(* All reads, if some are right at each. *)
Section All.
Variable A : architecture.
Variable M : automaton.
Variable RT : transformer R.
Variable margin : R.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation right r := (right_read M A RT margin r).
Lemma all_right x : (forall r, (r < length (reads M))%nat -> right r x = true) -> run M x K <> None -> right_input
  (By_automaton M) A RT margin x = true.
Proof.
  intros H N. unfold right_input. cbn [truth]. unfold right_read in H. destruct (run M x K) as [found|] eqn:Rn; [|easy].
  assert (Ln : length found = length (reads M)).
  { unfold run in Rn. destruct (state_after M x K); [|discriminate]. revert Rn. generalize O at 1 as r0. generalize found.
    generalize (reads M).
    induction l as [|[a b] l IH]; intros fd r0 F; cbn [outputs_from] in F; [injection F as <-; reflexivity|].
    destruct (state_after M x b) as [s1|]; [|discriminate]. destruct (output M r0 s1); [|discriminate].
    destruct (outputs_from M x (S r0) l) as [others|] eqn:Os; [|discriminate].
    injection F as <-. cbn. f_equal. now apply (IH _ (S r0)). }
  apply forallb_forall. intros [position o] I. destruct (In_nth_error _ _ I) as [r E].
  assert (L : (r < length found)%nat) by (apply nth_error_Some; congruence).
  specialize (H r ltac:(lia)). now rewrite E in H.
Qed.
Lemma count_and {B} (P Q : B -> bool) l : Z.of_nat (length (filter P l)) + Z.of_nat (length (filter Q l)) - Z.of_nat (length l)
  <=
  Z.of_nat (length (filter (fun x => P x && Q x) l)).
Proof. induction l as [|a l IH]; cbn [filter length]; [lia|]. destruct (P a), (Q a); cbn [andb length]; lia. Qed.
Theorem all_reads_le (total : Z) (counts : nat -> Z) : Z.of_nat (length (inputs (By_automaton M) V K)) <= total -> (0 < length
  (reads M))%nat ->
  (forall r, (r < length (reads M))%nat -> counts r <= Z.of_nat (length (filter (right r) (all_lists V K)))) ->
  total - zsum (length (reads M)) (fun r => total - counts r) <= n_right_inputs (By_automaton M) A RT margin.
Proof.
  intros Tl Pos Each. set (ins := inputs (By_automaton M) V K). set (n := Z.of_nat (length ins)).
  assert (Sub : forall r, filter (right r) ins = filter (right r) (all_lists V K)).
  { intros r. unfold ins, inputs. set (ok := fun x => match truth (By_automaton M) K x with None => false | Some _ => true end).
    generalize (all_lists V K) as l. induction l as [|x l IH]; auto. cbn [filter].
    change (ok x) with (match run M x K with None => false | Some _ => true end).
    destruct (run M x K) as [found|] eqn:Rn; cbn [filter]; [destruct (right r x); now rewrite IH|].
    rewrite IH. unfold right_read at 2. now rewrite Rn. }
  assert (G : forall k, (k <= length (reads M))%nat -> n - zsum k (fun r => n - Z.of_nat (length (filter (right r) ins))) <=
    Z.of_nat (length (filter (fun x => forallb (fun r => right r x) (seq 0 k)) ins))).
  { induction k as [|k IH]; intros Hk.
    - cbn [zsum seq forallb]. unfold n. assert (F : filter (fun _ : list nat => true) ins = ins).
      { clear. generalize ins as l. induction l; cbn; auto. now rewrite IHl. } rewrite F. lia.
    - specialize (IH ltac:(lia)). assert (C := count_and (fun x => forallb (fun r => right r x) (seq 0 k)) (right k) ins).
      cbn [zsum].
      assert (F : filter (fun x => forallb (fun r => right r x) (seq 0 (S k))) ins = filter (fun x => forallb (fun r => right r
        x) (seq 0 k) && right k x) ins).
      { apply filter_ext. intros x. rewrite seq_S, forallb_app. cbn [forallb Nat.add]. now rewrite andb_true_r. }
      rewrite F. fold n in C. lia. }
  specialize (G (length (reads M)) (le_n _)).
  assert (R : Z.of_nat (length (filter (fun x => forallb (fun r => right r x) (seq 0 (length (reads M)))) ins)) <=
    n_right_inputs (By_automaton M) A RT margin).
  { unfold n_right_inputs. apply inj_le. unfold ins, inputs. set (ok := fun x => match truth (By_automaton M) K x with None =>
    false | Some _ => true end).
    generalize (all_lists V K) as l. induction l as [|x l IH]; cbn [filter length]; [lia|].
    change (ok x) with (match run M x K with None => false | Some _ => true end).
    destruct (run M x K) as [found|] eqn:Rn.
    - cbn [filter]. destruct (forallb _ (seq 0 _)) eqn:F.
      + rewrite all_right; [cbn [length]; lia| |congruence]. intros r Hr. rewrite forallb_forall in F. apply F, in_seq. lia.
      + destruct (right_input _ _ _ _ x); cbn [length]; lia.
    - destruct (right_input _ _ _ _ x); cbn [length]; lia. }
  assert (Z0 : forall k, (1 <= k <= length (reads M))%nat -> total - zsum k (fun r => total - counts r) <= n - zsum k (fun r =>
    n - Z.of_nat (length (filter (right r) ins)))).
  { induction k as [|k IH]; intros [L1 L2]; [lia|]. cbn [zsum]. assert (Ek := Each k ltac:(lia)). rewrite <- Sub in Ek.
    destruct k as [|k]; [cbn [zsum]; lia|].
    specialize (IH ltac:(lia)). fold ins n in Tl. lia. }
  specialize (Z0 (length (reads M)) ltac:(lia)). lia.
Qed.
End All.
