(* One read proved for regions, all reads together (rules regions and all-reads), and how many inputs a task has. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Exponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput
  ReadingOrder Boxes OneLayer AfterAttention Regions.
Import ListNotations.
Open Scope Z_scope.

(* Right at the read with a number. *)
Definition right_read (M : automaton) (A : architecture) (T : transformer R) (margin : R) (r : nat) (x : list nat) : bool :=
  match run M x (n_ctx A) with
  | None => false
  | Some found => match nth_error found r with Some (position, o) => right_at A T x margin position o | None => false end
  end.

Section OneRead.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable M : automaton.
Variables number states : nat.
Variable back : nat -> nat.   (* the step in which a position is read *)
Variable first : nat -> nat -> option spot.
Variable reference : nat -> nat -> Z.
Variable centre : nat -> Z.
Variable range : box.
Variable after : functions.
Variable cuts : nat.
Variable where_to_cut : box -> nat.
Variable starts : nat -> option nat.
Variable finer : nat -> nat -> nat -> option nat.
Variables label owner : nat -> nat -> nat.
Variable bounds : nat -> nat -> box.
Variable sizes : nat -> nat.
Variable term : nat -> nat -> nat -> option box.
Variable ready : nat -> option known.
Variable endings : nat -> nat -> Z * box.
Notation V := (d_vocab A). Notation K := (n_ctx A).
Notation at_position := (position M number).
Notation steps := (steps M number).
Notation W := (n_heads A * S (d_head A))%nat.
Notation leads := (leads_cut A e p mn md after where_to_cut cuts).
Notation read := (read_box A p range).
Definition readable : bool :=
  inverse K (order M) back && inverse K back (order M) && (0 <? K)%nat && (number <? length (reads M))%nat && (at_position <?
    K)%nat &&
  forallb (fun rd => (1 <=? snd rd)%nat && (snd rd <=? K)%nat) (reads M).
Definition count_read : Z :=
  count_regions A M number term ready leads read starts finer label owner bounds sizes endings.

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
Hypothesis Hlayers : n_layers A = 1%nat.
Hypothesis Hpositive : positive A.
Hypothesis Hfirst : forall j t, first j t = prepare_by A e p (blocks T O) j (embedded A e p T j t).
Hypothesis Hafter : after = functions_of A e p T expo.
Hypothesis Hterm : forall q t j, term q t j = term_of A e p T expo at_position first reference centre range q t j.
Hypothesis Hready : forall q, ready q = known_of A e p T at_position first centre q.
Hypothesis Hendings : forall q s, endings q s = going_on A M number states term q (K - steps) steps s.
Hypothesis Readable : readable = true.
Notation RT := (map_transformer (real e) T).
Notation margin := (IZR mn / IZR md)%R.

Lemma readable_parts : inverse K (order M) back = true /\ (0 < K)%nat /\ (number < length (reads M))%nat /\ (at_position <
  K)%nat /\
  forallb (fun rd => (1 <=? snd rd)%nat && (snd rd <=? K)%nat) (reads M) = true.
Proof.
  unfold readable in Readable. rewrite !andb_true_iff in Readable. destruct Readable as [[[[[A1 A2] A3] A4] A5] A6].
  apply Nat.ltb_lt in A3, A4, A5. auto.
Qed.

Lemma proved_input y q u : In y (all_lists V K) -> begins A label owner bounds q u = true ->
  follows A M number states term ready leads read finer label owner bounds steps O u y = true ->
  nth at_position (unread K back y) O = q /\ right_read M A RT margin number (unread K back y) = true.
Proof.
  destruct readable_parts as (Inv & Kp & Nr & At & Rds). intros Iy Bg Fo. set (x := unread K back y).
  assert (Fw := forth_ok K (order M) back Inv). assert (Bw := back_ok K (order M) back Inv).
  unfold begins in Bg. apply andb_prop in Bg as [Bg B0]. apply andb_prop in Bg as [Bo Bl]. apply Nat.eqb_eq in Bo, Bl.
  set (total k j := real_term A e p T at_position reference centre x k j).
  assert (Term : forall j b, (j < K)%nat -> term (nth at_position x O) (nth j x O) j = Some b -> inside p W b (fun k => total k
    j)).
  { intros j b J Tm. rewrite Hterm in Tm. unfold total. eapply term_ok; eauto. }
  assert (Ord : forall i, (i < K)%nat -> (order M i < K)%nat) by (intros i Hi; now destruct (Fw i Hi)).
  assert (Rd : reads_on A M x O y).
  { apply all_lists_spec in Iy as [L F]. unfold reads_on. rewrite Nat.sub_0_r. repeat split; auto. intros k Hk. cbn [Nat.add].
    symmetry. now apply (unread_nth K (order M) back Inv). }
  assert (Sk : (steps <= K)%nat).
  { assert (X := reads_within A M Rds number Nr). exact (proj2 X). }
  destruct (follows_ok A p M number states term ready leads read finer label owner bounds x total Term Ord steps O u y
    (Nat.add_0_r steps) Sk Rd Fo
    ltac:(cbn [state_after]; now rewrite Bl)) as (v & Sv & Ov & Rp & Al & Qs & Ts & Sm).
  subst q. set (q := owner O u) in *.
  assert (Eq : nth at_position x O = q).
  { destruct (Bw at_position At) as [B1 B2]. apply (Qs (back at_position)); auto. lia. }
  split; auto.
  assert (Vd : forall j, (j < K)%nat -> valued A e p T at_position centre range x j).
  { intros j J. destruct (Bw j J) as [B1 B2]. destruct (Ts (back j) ltac:(lia)) as [c Tc]. rewrite B2, Hterm, <- Eq in Tc.
    eapply term_valued; eauto. }
  (* The sums. *)
  assert (Zero : inside p W (bounds O u) (fun _ => 0%R)).
  { apply (inside_contained p W zero_box); auto. intros k _. cbn. lra. }
  destruct (Sm Eq (fun _ => 0%R) Zero) as [In1 In2].
  set (rest := snd (going_on A M number states term q (K - steps) steps (label steps v))) in *.
  assert (Sums : inside p W (add_boxes W (bounds steps v) rest) (real_sum A e p T at_position reference centre x)).
  { assert (Both := inside_add p W _ _ _ _ In1 In2). intros k Hk. specialize (Both k Hk). cbn beta in Both.
    replace (real_sum A e p T at_position reference centre x k) with (0 + sum_from M total 0 steps k + sum_from M total steps
      (K - steps) k)%R; [exact Both|].
    unfold real_sum. change (rsum K (real_term A e p T at_position reference centre x k)) with (rsum K (fun j => total k j)).
    rewrite (rsum_steps K (order M) back Inv (fun j => total k j)). rewrite Rplus_0_l. unfold sum_from.
    replace (rsum K (fun i => total k (order M i))) with (rsum (steps + (K - steps)) (fun i => total k (order M i))) by
      (f_equal; lia).
    rewrite rsum_app. reflexivity. }
  unfold region_proved in Rp. destruct (output M number (label steps v)) as [best|] eqn:Ob; [|discriminate].
  destruct (ready q) as [base|] eqn:Rq; [|discriminate]. destruct (read (add_boxes W (bounds steps v) rest)) as [b|] eqn:Rb;
    [|discriminate].
  apply andb_prop in Rp as [Lb Ld]. apply Nat.ltb_lt in Lb. rewrite Hready, <- Eq in Rq.
  destruct (read_box_ok A e p T at_position reference centre range Hp Hd Hdh HG Heps x At _ b Vd Sums Rb) as [Ib Pos].
  destruct (known_ok A e p T at_position first centre Hp He Hd Hdh HG Heps Hscale Hfirst x At base Rq) as (Def & v0 & -> & Bv).
  assert (Lead := leads_cut_ok A e p mn md T expo after where_to_cut Hp He Hmd expo_ok Hd Heps Hpositive Hlayers Hafter x at_position
    _ _ (fun i => attention_value A e p T at_position reference centre Hd Hdh HG x At i Pos) v0 Bv best Lb cuts b Ib Ld).
  destruct (alive_all_runs A M x Rds Kp Al) as (found & Run & Out).
  unfold right_read. rewrite Run. rewrite (Out number (label steps v) best Nr Sv Ob).
  change (fst (nth number (reads M) (O, O))) with at_position.
  apply right_at_iff. repeat split; auto.
  - rewrite Hlayers. cbn [Transformers.defined]. rewrite (norms_defined A Hd Heps Hpositive), orb_true_r, andb_true_r.
    apply forallb_forall. intros l Hl. apply in_seq in Hl. destruct (sees A x at_position l) eqn:See; cbn [orb negb andb].
    + assert (Ll : (l < K)%nat) by lia. destruct (Bw l Ll) as [B1 B2]. destruct (Ts (back l) ltac:(lia)) as [c Tc].
      rewrite B2, Hterm, <- Eq in Tc.
      exact (term_defined A e p T expo at_position first reference centre range Hp He Hd Hdh HG Heps Hscale Hfirst x l c Ll Tc
        See).
    + destruct (Nat.eqb_spec l at_position) as [->|]; [exact Def|auto].
  - exact (norms_defined A Hd Heps Hpositive _).
Qed.

Theorem count_read_le : count_read <= Z.of_nat (length (filter (right_read M A RT margin number) (all_lists V K))).
Proof.
  destruct readable_parts as (Inv & Kp & Nr & At & Rds).
  assert (Sk : (steps <= K)%nat) by (assert (X := reads_within A M Rds number Nr); exact (proj2 X)).
  set (fol u y := follows A M number states term ready leads read finer label owner bounds steps O u y).
  set (P y := match starts (nth (back at_position) y O) with
              | Some u => begins A label owner bounds (nth (back at_position) y O) u && fol u y
              | None => false end).
  apply Z.le_trans with (cnt V all K P).
  2:{ apply (count_unread V K (order M) back Inv). intros y Iy Py. unfold P in Py. destruct (starts _) as [u|]; [|discriminate].
      apply andb_prop in Py as [Bg Fo]. exact (proj2 (proved_input y _ u Iy Bg Fo)). }
  eapply Z.le_trans; [|apply (cnt_key V all K P (fun y => nth (back at_position) y O) V)]. unfold count_read, count_regions.
  cbv zeta. apply zsum_le. intros q Hq.
  destruct (starts q) as [u|] eqn:St; [|apply cnt_nonneg]. destruct (begins A label owner bounds q u) eqn:Bg;
    [|apply cnt_nonneg].
  rewrite (good_cnt A M number states term ready leads read finer label owner bounds sizes endings Hendings steps O u
    (Nat.add_0_r steps)).
  replace (steps + (K - steps))%nat with K by lia. apply cnt_mono. intros y [Ly Fy] Fo. assert (Iy : In y (all_lists V K)).
  { apply all_lists_spec. split; auto. eapply Forall_impl; [|exact Fy]. cbn. tauto. }
  destruct (proved_input y q u Iy Bg Fo) as [Eq _].
  assert (Key : nth (back at_position) y O = q).
  { destruct (back_ok K (order M) back Inv at_position At) as [B1 B2]. rewrite <- Eq. rewrite <- B2 at 2. symmetry.
    now apply (unread_nth K (order M) back Inv). }
  unfold P. rewrite Key, St, Bg. unfold fol. rewrite Fo. now rewrite Nat.eqb_refl.
Qed.
End OneRead.

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
  unfold run. destruct (state_after M x K); [|discriminate]. intros F i s Hi S. unfold due. apply forallb_forall. intros r Hr.
  apply in_seq in Hr.
  destruct (Nat.eqb_spec (snd (nth r (reads M) (O, O))) i) as [E|]; auto. cbn [negb orb].
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
  assert (s' = s) by congruence. subst s'. now rewrite O'.
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
