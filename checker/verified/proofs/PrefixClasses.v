(* Rule prefix-classes (FORMAT.md 5.20): what a layer of a causal transformer works on, in boxes, for all inputs whose tokens up to
   a position lead an automaton to the same class. From layer to layer: bounds of what attention sums up over the ways to a class,
   and of what follows it. Nothing is believed of classes and bounds: where they do not fit there is no box. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Exponential Vectors Attention Transformers Automata
  HeadVectors Forward EveryInput Boxes OneLayer AfterAttention Regions.
Import ListNotations.
Open Scope Z_scope.

(* An automaton whose states stand for those of another one, with the same reads and outputs. Steps that do not fit are left out. *)
Section Refined.
Variable M : automaton.
Variable leads_to : nat -> nat -> nat -> option nat.
Variable stands_for : nat -> nat -> nat.
Definition refined : automaton :=
  Automaton (order M)
    (fun i s t => match leads_to i s t, transition M i (stands_for i s) t with
      | Some s', Some u => if (u =? stands_for (S i) s')%nat then Some s' else None
      | _, _ => None end)
    (fun r s => output M r (stands_for (snd (nth r (reads M) (O, O))) s))
    (reads M).
Hypothesis Start : stands_for O O = O.
Lemma refined_state x : forall i s, state_after refined x i = Some s -> state_after M x i = Some (stands_for i s).
Proof.
  induction i as [|i IH]; intros s; cbn [state_after]; [intros E; injection E as <-; now rewrite Start|].
  destruct (state_after refined x i) as [s0|]; [|discriminate]. rewrite (IH s0 eq_refl). cbn [transition order refined].
  destruct (leads_to i s0 _) as [s'|]; [|discriminate]. destruct (transition M i (stands_for i s0) _) as [u|]; [|discriminate].
  destruct (Nat.eqb_spec u (stands_for (S i) s')) as [->|]; [|discriminate]. intros E. now injection E as <-.
Qed.
Lemma refined_outputs x : forall l r found, (forall i, (i < length l)%nat -> nth i l (O, O) = nth (r + i) (reads M) (O, O)) ->
  outputs_from refined x r l = Some found -> outputs_from M x r l = Some found.
Proof.
  induction l as [|[a b] l IH]; intros r found N; cbn [outputs_from]; auto.
  destruct (state_after refined x b) as [s|] eqn:St; [|discriminate]. rewrite (refined_state x b s St).
  assert (N0 := N O ltac:(cbn; lia)). cbn [nth] in N0. rewrite Nat.add_0_r in N0. cbn [output refined]. rewrite <- N0. cbn [snd].
  destruct (output M r (stands_for b s)) as [o|]; [|discriminate].
  destruct (outputs_from refined x (S r) l) as [others|] eqn:F; [|discriminate]. intros E. rewrite (IH (S r) others); auto.
  intros i Hi. specialize (N (S i) ltac:(cbn; lia)). cbn [nth] in N. rewrite N. f_equal. lia.
Qed.
Theorem refined_le A T margin : n_right_inputs (By_automaton refined) A T margin <= n_right_inputs (By_automaton M) A T margin.
Proof.
  unfold n_right_inputs. apply inj_le. generalize (all_lists (d_vocab A) (n_ctx A)) as l. induction l as [|x l IH]; cbn; [lia|].
  assert (Same : right_input (By_automaton refined) A T margin x = true -> right_input (By_automaton M) A T margin x = true).
  { unfold right_input. cbn [truth]. destruct (run refined x (n_ctx A)) as [found|] eqn:R; [|discriminate].
    enough (run M x (n_ctx A) = Some found) as ->; auto. revert R. unfold run.
    destruct (state_after refined x (n_ctx A)) as [s|] eqn:St; [|discriminate]. rewrite (refined_state x _ s St).
    now apply refined_outputs. }
  destruct (right_input (By_automaton refined) A T margin x); [rewrite (Same eq_refl); cbn; lia|].
  destruct (right_input (By_automaton M) A T margin x); cbn; lia.
Qed.
End Refined.

(* A vector that encloses a box. *)
Definition vector_of (n : nat) (b : box) : vector :=
  let middle := memo1 n (fun i => (fst (b i) + snd (b i)) / 2) in
  Vector middle (zmax n (fun i => Z.max (middle i - fst (b i)) (snd (b i) - middle i))).
Lemma vector_of_ok p n b f : inside p n b f -> holds p n (vector_of n b) f.
Proof.
  intros I i Hi. specialize (I i Hi). unfold vector_of. cbv zeta. cbn [mid err]. set (middle := memo1 n _).
  assert (E := zmax_IZR n (fun i => Z.max (middle i - fst (b i)) (snd (b i) - middle i)) i Hi). cbn beta in E.
  assert (L : (IZR (middle i - fst (b i)) <= IZR (Z.max (middle i - fst (b i)) (snd (b i) - middle i)))%R) by (apply IZR_le; lia).
  assert (H : (IZR (snd (b i) - middle i) <= IZR (Z.max (middle i - fst (b i)) (snd (b i) - middle i)))%R) by (apply IZR_le; lia).
  rewrite minus_IZR in L, H. apply within_iff. lra.
Qed.

(* The norm of what may be anything in a box. *)
Section Normed.
Variable A : architecture.
Variables e p : Z.
Notation d := (d_model A).
Definition centring (k i : nat) : Z := if (k =? i)%nat then Z.of_nat d - 1 else -1.
Definition centred_box : box -> box := if subtracts A then affine p (Z.of_nat d) d d centring zero_box else fun b => b.
Definition normed_box (W : norm_weights Z) : box -> option vector :=
  let centred := centred_box in
  let weighed := if has_weight A then scaled_by p e d (w_norm W) (if has_bias A then b_norm W else fun _ => 0) else fun v => v in
  fun b => option_map (fun y => weighed (vector_of d y))
    (if has_norm A then normalised p d (fst (eps A)) (snd (eps A)) (centred b) else Some b).
Hypothesis Hp : 0 <= p.
Hypothesis He : 0 <= e.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Heps : 0 <= fst (eps A) /\ 0 < snd (eps A).
Hypothesis Hpositive : positive A.
Lemma centring_sum n (v : nat -> R) i : (i < n)%nat ->
  rsum n (fun k => v k * IZR (centring k i))%R = (INR d * v i - rsum n v)%R.
Proof.
  intros L. assert (G : forall n, rsum n (fun k => v k * IZR (centring k i))%R =
    ((if (i <? n)%nat then INR d * v i else 0) - rsum n v)%R).
  { clear. induction n as [|n IH]; cbn [rsum]; [cbn; lra|]. rewrite IH. unfold centring.
    destruct (Nat.eqb_spec n i) as [->|N].
    - rewrite (proj2 (Nat.ltb_ge i i)), (proj2 (Nat.ltb_lt i (S i))) by lia. rewrite minus_IZR, <- INR_IZR_INZ. ring.
    - destruct (Nat.ltb_spec i n); destruct (Nat.ltb_spec i (S n)); try lia; ring. }
  rewrite G. now rewrite (proj2 (Nat.ltb_lt i n) L).
Qed.
Lemma centred_box_ok b v : inside p d b v -> inside p d (centred_box b) (cen A v).
Proof.
  intros I. unfold centred_box. destruct (subtracts A) eqn:S; intros i Hi.
  - assert (Zero : inside p d zero_box (fun _ => 0%R)) by (intros k _; cbn; lra).
    assert (Af := affine_ok p Hp (Z.of_nat d) d d centring zero_box b (fun _ => 0%R) v ltac:(lia) Zero I i Hi). cbn beta in Af.
    rewrite (centring_sum d v i Hi), <- INR_IZR_INZ in Af. unfold cen. rewrite S. unfold centred.
    assert (N : (0 < INR d)%R) by now apply lt_0_INR.
    replace (v i - rsum d v / INR d)%R with (0 + (INR d * v i - rsum d v) / INR d)%R by (field; lra). exact Af.
  - unfold cen. rewrite S. exact (I i Hi).
Qed.
Lemma normed_box_ok W b v y : inside p d b v -> normed_box W b = Some y ->
  holds p d y (norm A (map_norm (real e) W) v) /\ norm_defined A v = true.
Proof.
  intros I E. split; [|exact (norms_defined A Hd Heps Hpositive v)]. unfold normed_box in E. cbv zeta in E.
  destruct (if has_norm A then _ else _) as [u|] eqn:N; [|discriminate]. injection E as <-.
  assert (Iu : inside p d u (fun i => cen A v i / sigma A v)%R).
  { unfold sigma. destruct (has_norm A) eqn:Hn.
    - exact (normalised_ok p Hp d _ _ Hd (conj (Hpositive Hn) (proj2 Heps)) _ _ _ (centred_box_ok b v I) N).
    - injection N as <-. intros i Hi. unfold cen, subtracts. unfold has_norm in Hn. specialize (I i Hi).
      destruct (normalization_type A); try discriminate. unfold Rdiv. now rewrite Rinv_1, Rmult_1_r. }
  apply vector_of_ok in Iu. eapply holds_ext; [intros i _; symmetry; apply (norm_form A e)|].
  unfold weight_of_norm, bias_of_norm, has_bias, has_weight. destruct (normalization_type A).
  all: cbn beta iota.
  all: first [now apply (scaled_by_holds p Hp e d _ _ _ _ He) |
    (eapply holds_ext; [|exact (scaled_by_holds p Hp e d _ _ _ _ He Iu)]; intros i _; unfold real, Rdiv; ring) |
    (eapply holds_ext; [|exact Iu]; intros i _; cbn beta; ring)].
Qed.
End Normed.

(* What is claimed, in the first layer (false) or a later one (true): how many classes there are after so many steps; which symbols
   at positions belong to inputs with some query at a position (a hint on rounding); with which queries inputs arrive at a class;
   and, for a position and a query there, bounds of sums over the ways to classes, if these are on the way of such inputs. *)
Record class_claims := Class_claims { class_sizes : nat -> nat; on_the_way : bool -> nat -> nat -> nat -> nat -> bool;
  arriving : bool -> nat -> nat -> list nat;
  way_bounds : bool -> nat -> nat -> (nat -> nat -> option box) -> nat -> nat -> option box }.

Section Layer.
Variable A : architecture.
Variables e p : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable M : automaton.   (* of classes *)
Variable claims : class_claims.
Variable layer : nat.
Variable by_state : bool.
Variable symbols : nat.
Variable first : nat -> nat -> option spot.
Notation V := (d_vocab A). Notation K := (n_ctx A). Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A).
Notation W := (H * S dh)%nat.
Notation sizes := (class_sizes claims).

Definition steps_fit : bool :=
  (0 <? sizes O)%nat && forallb (fun i => forallb (fun s => forallb (fun t =>
    match transition M i s t with
    | None => true
    | Some s' => (s' <? sizes (S i))%nat && existsb (Nat.eqb (symbol_of by_state s' t)) (arriving claims by_state i s')
    end) (seq 0 V)) (seq 0 (sizes i))) (seq 0 K).
Definition ways_fit (j q : nat) (term : nat -> nat -> option box) (bounds : nat -> nat -> option box) : bool :=
  match bounds O O with None => true | Some b => contained W zero_box b end &&
  forallb (fun i => forallb (fun s => forallb (fun t =>
    match transition M i s t with
    | None => true
    | Some s' =>
      let y := symbol_of by_state s' t in
      (i =? j)%nat && negb (y =? q)%nat ||
      match bounds (S i) s' with
      | None => true
      | Some after => match bounds i s, term y i with Some before, Some b => sum_contained W before b after | _, _ => false end
      end
    end) (seq 0 V)) (seq 0 (sizes i))) (seq 0 (S j)).
(* The residual stream after the layer, for a position and a class after its step. *)
Definition class_boxes : nat -> nat -> option box :=
  let fit := steps_fit in
  let after := functions_of A e p T expo layer in
  let known_by := known_by A e p T layer in
  let to_stream := stream_after A e p T layer in
  fun j =>
    let any _ _ := true in
    let centre := memo1 (H * dh) (centre_of A j first symbols any) in
    let range := memo1 (H * dh) (range_of A j first symbols any centre) in
    let base := base_of A e p T layer j first centre in
    let by_query := memo1 symbols (fun q =>
      match base q with
      | None => fun _ => None
      | Some v =>
        let reference := memo1 H (reference_of A e p T layer j first symbols (on_the_way claims by_state j) q) in
        let term := memo2 symbols (S j) (term_of A e p T expo layer j first (fun _ => reference) centre range q) in
        let bounds := way_bounds claims by_state j q term in
        if ways_fit j q term bounds then
          let k := known_by v in
          fun s => match bounds (S j) s with None => None | Some sums =>
            let z := match read_box A p range sums with Some z => z | None => range end in
            option_map (to_stream v z) (units_in A p after k z) end
        else fun _ => None
      end) in
    fun s => if fit then option_map (hull_all d) (gather (fun q => by_query q s) (arriving claims by_state j s)) else None.

Hypothesis Hp : 0 <= p.
Hypothesis He : 0 <= e.
Hypothesis expo_ok : forall y, 0 <= y -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (expo y)))%R.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= H)%nat.
Hypothesis Heps : 0 <= fst (eps A) /\ 0 < snd (eps A).
Hypothesis Hpositive : positive A.
Hypothesis Causal : bidirectional A = false.
Hypothesis Unpadded : pad_token A = None.
Hypothesis Order : forall i, (i < K)%nat -> order M i = i.
Notation RT := (map_transformer (real e) T).
Notation B := (blocks T layer).
Variable x : list nat.
Hypothesis Tokens : forall i, (i < K)%nat -> (token x i < V)%nat.
Variable sym : nat -> nat.
Hypothesis Symbol : forall i s, (i < K)%nat -> state_after M x (S i) = Some s -> symbol_of by_state s (token x i) = sym i.
Hypothesis Spot : forall i s found, (i < K)%nat -> state_after M x (S i) = Some s -> first i (sym i) = Some found ->
  spot_ok A e p B (stream A RT x layer) i found /\ Transformers.defined A RT x layer i = true.

Lemma state_step i s : (i < K)%nat -> state_after M x (S i) = Some s ->
  exists s0, state_after M x i = Some s0 /\ transition M i s0 (token x i) = Some s.
Proof.
  intros L. cbn [state_after]. destruct (state_after M x i) as [s0|]; [|discriminate]. rewrite (Order i L). eauto.
Qed.
Lemma state_before i j s : (i <= j)%nat -> (j <= K)%nat -> state_after M x j = Some s -> exists s0, state_after M x i = Some s0.
Proof.
  intros L. revert s. induction L as [|j L IH]; intros s Lk St; [eauto|]. destruct (state_step j s ltac:(lia) St) as (s0 & S0 & _).
  apply (IH s0); auto. lia.
Qed.
Lemma state_small i s : steps_fit = true -> (i <= K)%nat -> state_after M x i = Some s -> (s < sizes i)%nat.
Proof.
  intros F. apply andb_prop in F as [F0 F]. apply Nat.ltb_lt in F0. rewrite forallb_forall in F. revert s.
  induction i as [|i IH]; intros s L St; [injection St as <-; auto|]. destruct (state_step i s ltac:(lia) St) as (s0 & S0 & Tr).
  specialize (IH s0 ltac:(lia) S0). specialize (F i ltac:(apply in_seq; lia)). rewrite forallb_forall in F.
  specialize (F s0 ltac:(apply in_seq; lia)). rewrite forallb_forall in F. specialize (Tokens i ltac:(lia)).
  specialize (F (token x i) ltac:(apply in_seq; lia)). rewrite Tr in F. apply andb_prop in F as [F _]. now apply Nat.ltb_lt.
Qed.
Lemma arrives j s : steps_fit = true -> (j < K)%nat -> state_after M x (S j) = Some s -> In (sym j) (arriving claims by_state j s).
Proof.
  intros Fit L St. destruct (state_step j s L St) as (s0 & S0 & Tr). assert (Sm := state_small j s0 Fit ltac:(lia) S0).
  apply andb_prop in Fit as [_ F]. rewrite forallb_forall in F. specialize (F j ltac:(apply in_seq; lia)). rewrite forallb_forall in F.
  specialize (F s0 ltac:(apply in_seq; lia)). rewrite forallb_forall in F. specialize (Tokens j ltac:(lia)).
  specialize (F (token x j) ltac:(apply in_seq; lia)). rewrite Tr, (Symbol j s L St) in F. apply andb_prop in F as [_ F].
  apply existsb_exists in F as (q & I & E). apply Nat.eqb_eq in E. now subst q.
Qed.

Section Position.
Variables j s : nat.
Hypothesis Hj : (j < K)%nat.
Hypothesis Here : state_after M x (S j) = Some s.
Variable reference : nat -> nat -> Z.
Variable centre : nat -> Z.
Variable range : box.
Notation term := (term_of A e p T expo layer j first reference centre range (sym j)).
Notation total := (real_term A e p T layer j reference centre x sym).
Lemma sees_iff_before i : (i < K)%nat -> sees A x j i = true <-> (i <= j)%nat.
Proof. intros _. unfold sees. rewrite Causal, Unpadded, andb_true_r. cbn [orb]. apply Nat.leb_le. Qed.
Lemma pads i : is_pad A (sym i) = is_pad A (token x i).
Proof. unfold is_pad. now rewrite Unpadded. Qed.
Lemma spots i found : matters A j x i -> first i (sym i) = Some found ->
  spot_ok A e p B (stream A RT x layer) i found /\ Transformers.defined A RT x layer i = true.
Proof.
  intros [L Mt] F. assert (Le : (i <= j)%nat) by (destruct Mt as [Se| ->]; [now apply sees_iff_before in Se|lia]).
  destruct (state_before (S i) (S j) s ltac:(lia) ltac:(lia) Here) as [s0 S0]. now apply (Spot i s0).
Qed.
(* Bounds of sums along the ways, and that all terms are known. *)
Lemma ways_ok bounds : steps_fit = true -> ways_fit j (sym j) term bounds = true ->
  forall i s0 b, (i <= S j)%nat -> state_after M x i = Some s0 -> bounds i s0 = Some b ->
  inside p W b (fun k => rsum i (total k)) /\ forall l, (l < i)%nat -> exists c, term (sym l) l = Some c.
Proof.
  intros Fit F. apply andb_prop in F as [F0 F]. rewrite forallb_forall in F.
  induction i as [|i IH]; intros s0 b L St Bd.
  - injection St as <-. rewrite Bd in F0. split; [|lia]. apply (inside_contained p W zero_box); auto. intros k _. cbn. lra.
  - destruct (state_step i s0 ltac:(lia) St) as (s1 & S1 & Tr). assert (Sm := state_small i s1 Fit ltac:(lia) S1).
    specialize (F i ltac:(apply in_seq; lia)). rewrite forallb_forall in F. specialize (F s1 ltac:(apply in_seq; lia)).
    rewrite forallb_forall in F. specialize (Tokens i ltac:(lia)). specialize (F (token x i) ltac:(apply in_seq; lia)).
    rewrite Tr in F. cbv zeta in F. rewrite (Symbol i s0 ltac:(lia) St), Bd in F. apply orb_prop in F as [N|F].
    { exfalso. apply andb_prop in N as [Ei N]. apply Nat.eqb_eq in Ei. subst i. now rewrite Nat.eqb_refl in N. }
    destruct (bounds i s1) as [before|] eqn:Bi; [|discriminate]. destruct (term (sym i) i) as [c|] eqn:Tm; [|discriminate].
    destruct (IH s1 before ltac:(lia) S1 Bi) as [In0 Ts]. split.
    + cbn [rsum]. apply (inside_sum p W before c b _ _ F In0).
      apply (term_ok A e p T expo layer j first reference centre range Hp He expo_ok Hd Hdh HG x Hj sym pads) with (j := i); auto; [|lia].
      intros l found Hl Fl. now apply spots.
    + intros l Hl. destruct (Nat.eq_dec l i) as [->|]; [eauto|apply Ts; lia].
Qed.
Lemma later_terms k n : rsum (S j + n) (total k) = rsum (S j) (total k).
Proof.
  induction n as [|n IH]; [now rewrite Nat.add_0_r|]. rewrite Nat.add_succ_r.
  change (rsum (S (S j + n)) (total k)) with (rsum (S j + n) (total k) + total k (S j + n)%nat)%R. rewrite IH.
  enough (total k (S j + n)%nat = 0%R) as -> by ring. unfold real_term, sees. rewrite Causal. cbn [orb].
  now rewrite (proj2 (Nat.leb_gt (S j + n) j)) by lia.
Qed.
End Position.

Theorem class_boxes_sound j s b : (j < K)%nat -> state_after M x (S j) = Some s -> class_boxes j s = Some b ->
  inside p d b (stream A RT x (S layer) j) /\ Transformers.defined A RT x (S layer) j = true.
Proof.
  intros J St. unfold class_boxes. cbv zeta. destruct steps_fit eqn:Fit; [|discriminate].
  set (centre := memo1 (H * dh) _). set (range := memo1 (H * dh) _). set (by_query := memo1 symbols _).
  destruct (gather _ _) as [found|] eqn:Gt; [|discriminate]. intros E. injection E as <-.
  assert (Ar := arrives j s Fit J St). assert (Own : exists b, by_query (sym j) s = Some b /\ In b found).
  { apply gather_ok in Gt. clear - Gt Ar. induction Gt as [|q b l m Q _ IH]; [destruct Ar|]. destruct Ar as [->|I].
    - exists b. split; [exact Q|now left].
    - destruct (IH I) as (c & C1 & C2). exists c. split; [exact C1|now right]. }
  destruct Own as (b & Ob & Ib). enough (G : inside p d b (stream A RT x (S layer) j) /\
    Transformers.defined A RT x (S layer) j = true) by (split; [now apply (inside_hull p d found b)|apply G]).
  clear Gt Ib found. unfold by_query in Ob. rewrite memo1_eq in Ob.
  destruct (base_of A e p T layer j first centre (sym j)) as [v|] eqn:Bs; [|discriminate]. rewrite memo2_id in Ob.
  set (reference := memo1 H _) in Ob. set (bounds := way_bounds claims by_state j (sym j) _) in Ob.
  destruct (ways_fit j (sym j) _ bounds) eqn:Wf; [|discriminate].
  destruct (bounds (S j) s) as [sums|] eqn:Bd; [|discriminate]. cbv zeta in Ob.
  set (z := match read_box A p range sums with Some z => z | None => range end) in Ob.
  destruct (units_in A p _ _ z) as [h|] eqn:Un; [|discriminate]. injection Ob as <-.
  assert (Sp := fun i found => spots j s J St i found).
  assert (Sp' : forall i found, matters A j x i -> first i (sym i) = Some found -> spot_ok A e p B (stream A RT x layer) i found)
    by (intros i found Mt F; now apply Sp).
  destruct (ways_ok j s J St (fun _ => reference) centre range bounds Fit Wf (S j) s sums (le_n _) St Bd) as [In0 Ts].
  assert (Sums : inside p W sums (real_sum A e p T layer j (fun _ => reference) centre x sym)).
  { intros k Hk. unfold real_sum. replace (rsum K) with (rsum (S j + (K - S j))) by (f_equal; lia). rewrite later_terms by exact J.
    exact (In0 k Hk). }
  assert (Vd : forall i, (i < K)%nat -> valued A e p T layer j centre range x i).
  { intros i L Se. assert (Le := proj1 (sees_iff_before j i L) Se). destruct (Ts i ltac:(lia)) as [c Tc].
    exact (term_valued A e p T expo layer j first (fun _ => reference) centre range Hp Hd Hdh HG Heps x J sym (pads) Sp' i c L Tc Se). }
  assert (Pos : forall h0, (h0 < H)%nat -> (0 < real_sum A e p T layer j (fun _ => reference) centre x sym (h0 * S dh))%R).
  { intros h0 _. apply (sum_positive A e p T layer j) with (l := j); auto. now apply sees_iff_before. }
  assert (Iz : inside p (H * dh) z (real_read A e p T layer j (fun _ => reference) centre x sym)).
  { unfold z. destruct (read_box A p range sums) as [found|] eqn:Rb.
    - exact (proj1 (read_box_ok A e p T layer j (fun _ => reference) centre range Hp Hd Hdh HG Heps x J sym sums found Vd Sums Rb)).
    - intros k Hk. apply (range_read A e p T layer j); auto. apply Pos, Nat.div_lt_upper_bound; lia. }
  destruct (base_ok A e p T layer j first centre Hp He x sym J Sp' v Bs) as [Def Bv].
  assert (Att := fun i => attention_value A e p T layer j (fun _ => reference) centre Hd Hdh HG x J sym i Pos).
  assert (Hh := units_ok A e p T expo layer _ Hp He expo_ok Hd Heps Hpositive eq_refl x j _ _ Att v Bv z h Iz Un). split.
  - exact (stream_after_ok A e p T layer Hp He x j _ _ Att v Bv z h Iz Hh).
  - cbn [Transformers.defined]. rewrite (norms_defined A Hd Heps Hpositive), orb_true_r, andb_true_r.
    apply forallb_forall. intros l Hl. apply in_seq in Hl. assert (L : (l < K)%nat) by lia.
    assert (Known : matters A j x l -> (exists found, first l (sym l) = Some found) -> Transformers.defined A RT x layer l &&
      heads_defined A (map_block (real e) B) (stream A RT x layer) l = true).
    { intros Mt [found F]. destruct (Sp l found Mt F) as ((_ & _ & _ & _ & D & _) & D'). now rewrite D, D'. }
    destruct (sees A x j l) eqn:See; cbn [orb negb andb].
    + assert (Le := proj1 (sees_iff_before j l L) See). destruct (Ts l ltac:(lia)) as [c Tc].
      apply Known; [split; auto|].
      exact (term_spot A e p T expo layer j first (fun _ => reference) centre range x sym (pads) l c Tc See).
    + destruct (Nat.eqb_spec l j) as [->|]; [|auto]. apply Known; [split; auto|]. unfold base_of in Bs. cbv zeta in Bs.
      destruct (first j (sym j)) as [found|]; [eauto|discriminate].
Qed.
End Layer.

(* From the first layer, which works on tokens, to any other. *)
Lemma nth_row {X} (f : nat -> option X) n s found : nth s (map f (seq 0 n)) None = Some found -> f s = Some found.
Proof.
  destruct (Nat.lt_ge_cases s n) as [L|L]; [|rewrite nth_overflow by (now rewrite map_length, seq_length); discriminate].
  rewrite (nth_indep _ None (f O)) by (now rewrite map_length, seq_length). now rewrite map_nth, seq_nth.
Qed.
Section Layers.
Variable A : architecture.
Variables e p : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable M : automaton.
Variable states : nat.   (* classes are below *)
Variable claims : class_claims.
Variable first : nat -> nat -> option spot.
Notation V := (d_vocab A). Notation K := (n_ctx A). Notation d := (d_model A).
Definition later (layer : nat) : bool := (0 <? layer)%nat.
Definition symbols_at (layer : nat) : nat := if later layer then states else V.
Fixpoint spots_at (layer : nat) : nat -> nat -> option spot :=
  match layer with
  | O => first
  | S before =>
    let boxes := class_boxes A e p T expo M claims before (later before) (symbols_at before) (spots_at before) in
    let prepare := prepare_from A e p (blocks T layer) in
    let normed := normed_box A e p (ln1 (blocks T layer)) in
    memo1 K (fun j =>
      let row := boxes j in
      let found := map (fun s => match row s with None => None | Some b => prepare j (vector_of d b) (normed b) end)
        (seq 0 states) in
      memo1 states (fun s => nth s found None))
  end.
Definition symbol_at (layer : nat) (x : list nat) (j : nat) : nat :=
  if later layer then match state_after M x (S j) with Some s => s | None => O end else token x j.
Definition deep : bool :=
  negb (bidirectional A) && match pad_token A with None => true | Some _ => false end &&
  forallb (fun i => (order M i =? i)%nat) (seq 0 K).

Lemma deep_parts : deep = true -> bidirectional A = false /\ pad_token A = None /\ forall i, (i < K)%nat -> order M i = i.
Proof.
  unfold deep. rewrite !andb_true_iff, negb_true_iff, forallb_forall. intros [[C P] O0]. split; auto. split.
  - now destruct (pad_token A).
  - intros i L. apply Nat.eqb_eq, O0, in_seq. lia.
Qed.
Lemma symbol_at_ok layer x i s : later layer = false \/ deep = true -> (i < K)%nat -> state_after M x (S i) = Some s ->
  symbol_of (later layer) s (nth (order M i) x O) = symbol_at layer x (order M i).
Proof.
  unfold symbol_at, symbol_of. intros [->|D] L St; [reflexivity|]. destruct (deep_parts D) as (_ & _ & Ord).
  rewrite (Ord i L). destruct (later layer); [now rewrite St|reflexivity].
Qed.
Lemma pads_at layer x j : later layer = false \/ deep = true -> is_pad A (symbol_at layer x j) = is_pad A (token x j).
Proof.
  unfold symbol_at. intros [->|D]; [reflexivity|]. destruct (deep_parts D) as (_ & P & _). unfold is_pad. now rewrite P.
Qed.

Hypothesis Hp : 0 <= p.
Hypothesis He : 0 <= e.
Hypothesis expo_ok : forall y, 0 <= y -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd (expo y)))%R.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < d_head A)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= n_heads A)%nat.
Hypothesis Heps : 0 <= fst (eps A) /\ 0 < snd (eps A).
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => 0 < b end.
Hypothesis Hpositive : positive A.
Hypothesis Hfirst : forall j t, first j t = prepare_by A e p (blocks T O) j (embedded A e p T j t).
Notation RT := (map_transformer (real e) T).
Theorem spots_ok layer x : later layer = false \/ deep = true -> (forall i, (i < K)%nat -> (token x i < V)%nat) ->
  forall j s found, (j < K)%nat -> state_after M x (S j) = Some s -> spots_at layer j (symbol_at layer x j) = Some found ->
  spot_ok A e p (blocks T layer) (stream A RT x layer) j found /\ Transformers.defined A RT x layer j = true.
Proof.
  intros D Tokens. induction layer as [|before IH]; intros j s found J St F.
  - split; auto. exact (token_spot A e p T first x j found Hp He Hd Hdh HG Heps Hscale Hfirst J F).
  - assert (Dp : deep = true) by (destruct D; [discriminate|auto]). destruct (deep_parts Dp) as (Ca & Un & Ord).
    unfold symbol_at in F. cbn [later Nat.ltb Nat.leb] in F. rewrite St in F. cbn [spots_at] in F. cbv zeta in F.
    rewrite !memo1_eq in F. apply nth_row in F.
    destruct (class_boxes _ _ _ _ _ _ _ _ _ _ _ j s) as [b|] eqn:Bx; [|discriminate].
    assert (Ok : inside p d b (stream A RT x (S before) j) /\ Transformers.defined A RT x (S before) j = true).
    { eapply (class_boxes_sound A e p T expo M claims before (later before) (symbols_at before) (spots_at before))
        with (sym := symbol_at before x); eauto.
      intros i s0 Li S0. rewrite <- (Ord i Li) at 2. rewrite <- (symbol_at_ok before x i s0 (or_intror Dp) Li S0).
      now rewrite (Ord i Li). }
    destruct Ok as [Ib Def]. split; [|exact Def].
    apply (prepare_from_ok A e p Hp He Hd Hdh HG Heps Hscale (blocks T (S before)) _ j (vector_of d b)
      (normed_box A e p (ln1 (blocks T (S before))) b)); auto; [now apply vector_of_ok|].
    intros y E. now apply (normed_box_ok A e p Hp He Hd Heps Hpositive _ b).
Qed.
End Layers.
