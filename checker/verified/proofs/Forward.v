(* The forward pass of a transformer on enclosures: at a position, from the entries of the positions that it looks at. What it
   finds encloses the residual stream and the logits of Transformers.v, and that they are defined. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting PrefixChains Exponential Vectors Attention Transformers
  HeadVectors Gelu.
Import ListNotations.
Open Scope R_scope.

(* Weights by their numbers. *)
Definition map_norm {A B} (f : A -> B) (W : norm_weights A) : norm_weights B := Norm (fun i => f (w_norm W i)) (fun i => f
  (b_norm W i)).
Definition map_block {A B} (f : A -> B) (W : block A) : block B :=
  Block (map_norm f (ln1 W)) (fun h i c => f (W_Q W h i c)) (fun h c => f (b_Q W h c)) (fun h i c => f (W_K W h i c))
    (fun h c => f (b_K W h c)) (fun h i c => f (W_V W h i c)) (fun h c => f (b_V W h c)) (fun h c i => f (W_O W h c i))
    (fun i => f (b_O W i)) (fun h => f (slopes W h)) (fun c => f (q_norm W c)) (fun c => f (k_norm W c)) (map_norm f (ln2 W))
      (fun i n => f (W_in W i n)) (fun i n => f (W_gate W i
      n))
    (fun n => f (b_in W n)) (fun n i => f (W_out W n i)) (fun i => f (b_out W i)).
Definition map_transformer {A B} (f : A -> B) (T : transformer A) : transformer B :=
  Transformer (fun t i => f (W_E T t i)) (fun j i => f (W_pos T j i)) (fun l => map_block f (blocks T l)) (map_norm f (ln_final
    T))
    (fun i o => f (W_U T i o)) (fun o => f (b_U T o)).

(* Double sums as one. *)
Lemma rsum_app n m f : rsum (n + m) f = rsum n f + rsum m (fun i => f (n + i)%nat).
Proof.
  induction m; cbn [rsum]; [rewrite Nat.add_0_r; ring|]. rewrite Nat.add_succ_r. cbn [rsum]. rewrite IHm. ring.
Qed.
Lemma rsum_flat n m f : rsum (n * m) f = rsum n (fun h => rsum m (fun c => f (h * m + c)%nat)).
Proof. induction n; cbn [rsum]; auto. rewrite Nat.mul_succ_l, rsum_app, IHn. reflexivity. Qed.
Fixpoint downto (n : nat) : list nat := match n with O => [] | S k => k :: downto k end.
Lemma in_downto n l : In l (downto n) <-> (l < n)%nat.
Proof. induction n as [|n IH]; cbn; [lia|]. rewrite IH. lia. Qed.

(* The positions that position j looks at. *)
Section Visible.
Variable A : architecture.
Variable x : list nat.
Notation K := (n_ctx A).
Definition hidden (l : nat) : bool := match pad_token A with None => false | Some t => (token x l =? t)%nat end.
Definition visible (n : nat) : list nat := filter (fun l => negb (hidden l)) (downto n).
Definition horizon (j : nat) : nat := if bidirectional A then K else S j.
Lemma sees_iff j l : (j < K)%nat -> (l < K)%nat -> sees A x j l = true <-> In l (visible (horizon j)).
Proof.
  intros J L. unfold sees, visible, horizon. rewrite filter_In, in_downto, andb_true_iff, orb_true_iff, Nat.leb_le.
  assert (N : match pad_token A with None => true | Some t => negb (token x l =? t)%nat end = negb (hidden l)).
  { unfold hidden. now destruct (pad_token A). }
  rewrite N. destruct (bidirectional A); intuition lia.
Qed.
Lemma rsum_visible j f : (j < K)%nat -> rsum K (fun l => if sees A x j l then f l else 0) = rlist (visible (horizon j)) f.
Proof.
  intros J. assert (G1 : forall n, (n <= K)%nat ->
    rsum n (fun l => if sees A x j l then f l else 0) = rlist (visible (Nat.min n (horizon j))) f).
  { induction n as [|n IH]; intros L; [reflexivity|]. cbn [rsum]. rewrite IH by lia.
    assert (I := sees_iff j n J ltac:(lia)). assert (Hz : (horizon j <= K)%nat) by (unfold horizon;
      destruct (bidirectional A); lia).
    destruct (Nat.lt_ge_cases n (horizon j)) as [Q|Q].
    - rewrite !Nat.min_l by lia. unfold visible at 2. cbn [downto filter]. fold (visible n).
      assert (V : In n (visible (horizon j)) <-> negb (hidden n) = true).
      { unfold visible. rewrite filter_In, in_downto. intuition. }
      destruct (negb (hidden n)) eqn:N; cbn [rlist].
      + rewrite (proj2 I) by (apply V; auto). ring.
      + destruct (sees A x j n); [|ring]. assert (F : false = true) by (apply V, I; auto). discriminate.
    - rewrite !Nat.min_r by lia. destruct (sees A x j n); [|ring]. assert (X := proj1 I eq_refl).
      unfold visible in X. rewrite filter_In, in_downto in X. lia. }
  rewrite G1 by lia. rewrite Nat.min_r; auto. unfold horizon. destruct (bidirectional A); lia.
Qed.
Lemma sees_none j : (j < K)%nat -> existsb (sees A x j) (seq 0 K) = match visible (horizon j) with [] => false | _ => true end.
Proof.
  intros J. destruct (existsb (sees A x j) (seq 0 K)) eqn:E.
  - apply existsb_exists in E as (l & L & S). apply in_seq in L. apply sees_iff in S; [|auto|lia]. now destruct (visible _).
  - destruct (visible (horizon j)) as [|l rest] eqn:V; auto. exfalso. assert (L : (l < K)%nat).
    { assert (I : In l (visible (horizon j))) by (rewrite V; now left). unfold visible in I. rewrite filter_In, in_downto in I.
      unfold horizon in I. destruct (bidirectional A); lia. }
    assert (X : existsb (sees A x j) (seq 0 K) = true); [|congruence].
    apply existsb_exists. exists l. split; [apply in_seq; lia|]. apply sees_iff; auto. rewrite V. now left.
Qed.

End Visible.

Section Forward.
Variable A : architecture.
Variables e p : Z.
Notation divided := (divided A p (d_model A)).
Notation constant := (constant e p).
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Notation P := (IZR (2 ^ p)).
Notation d := (d_model A). Notation dh := (d_head A). Notation H := (n_heads A). Notation G := (n_key_value_heads A).
Notation K := (n_ctx A). Notation m := (d_mlp A).

(* Norms. *)
Definition normed (W : norm_weights Z) : vector -> option vector :=
  let weighed := scaled_by p e d (w_norm W) (match normalization_type A with LN => b_norm W | _ => fun _ => 0%Z end) in
  match normalization_type A with
  | No_norm => fun v => Some v
  | RMSPre => divided
  | RMS => fun v => option_map weighed (divided v)
  | LNPre => fun v => divided (centred_of d v)
  | LN => fun v => option_map weighed (divided (centred_of d v))
  end.

(* A position in some layer: its residual stream, its queries divided by the scale, and its entry. *)
Record spot := Spot { here : vector; asks : vector; own : entry }.
Definition scale_bounds : Z * Z := match attn_scale A with None => root_of_size p dh | Some (a, b) => quotient p a b end.

(* What is computed of a block once, and then works on positions. *)
Record layer := Layer { prepare : nat -> vector -> option spot; after : spot -> list entry -> option vector }.

Definition prepare_from (B : block Z) : nat -> vector -> option vector -> option spot :=
  let to_q := linear p e d (H * dh) (fun i j => W_Q B (j / dh)%nat i (j mod dh)%nat) (fun j => b_Q B (j / dh)%nat (j mod
    dh)%nat) in
  let to_k := linear p e d (G * dh) (fun i j => W_K B (j / dh)%nat i (j mod dh)%nat) (fun j => b_K B (j / dh)%nat (j mod
    dh)%nat) in
  let to_v := linear p e d (G * dh) (fun i j => W_V B (j / dh)%nat i (j mod dh)%nat) (fun j => b_V B (j / dh)%nat (j mod
    dh)%nat) in
  let asked := compared A e p H (q_norm B) in
  let looked_up := compared A e p G (k_norm B) in
  let '(low, high) := scale_bounds in
  fun l r normed_r =>
    match normed_r with
    | None => None
    | Some y =>
      match asked l (to_q y), looked_up l (to_k y) with
      | Some q, Some k =>
        if (0 <? low)%Z then Some (Spot r (over p (H * dh) q low high) (entry_of G dh l k (to_v y))) else None
      | _, _ => None
      end
    end.
Definition prepare_by (B : block Z) : nat -> vector -> option spot :=
  let norm1 := normed (ln1 B) in
  let prepare := prepare_from B in
  fun l r => prepare l r (norm1 r).
Definition head_at (B : block Z) (h : nat) (s : spot) : list entry -> option vector :=
  head_of p expo dh (h * dh) (h * G / H) e (slopes B h) (place (own s)) (asks s).
Definition joined (B : block Z) (s : spot) (entries : list entry) : option vector := by_heads A H (fun h => head_at B h s
  entries).
Definition acted : vector -> vector :=
  match act_fn A with
  | Relu => relu_of m
  | Silu => fun v => gathered m (fun n => silu_of p expo (mid v n, err v))
  | Gelu_new => let factor := gelu_factor p in fun v => gathered m (fun n => gelu_new_of p expo factor (mid v n, err v))
  end.
Definition mlp_by (B : block Z) : vector -> option vector :=
  let norm2 := normed (ln2 B) in
  let to_in := linear p e d m (W_in B) (if gated_mlp A then no_bias else b_in B) in
  let to_gate := linear p e d m (W_gate B) no_bias in
  let bias := constant m (b_in B) in
  let acted := acted in
  let to_out := linear p e m d (W_out B) (b_out B) in
  fun r =>
    match norm2 r with
    | None => None
    | Some u =>
      let units := if gated_mlp A then
          plus m (products p m (acted (to_gate u)) (to_in u)) bias
        else acted (to_in u) in
      Some (plus d r (to_out units))
    end.
Definition after_by (B : block Z) : spot -> list entry -> option vector :=
  let to_o := linear p e (H * dh) d (fun j i => W_O B (j / dh)%nat (j mod dh)%nat i) (b_O B) in
  let mlp := if attn_only A then fun r => Some r else mlp_by B in
  fun s entries => match joined B s entries with None => None | Some z => mlp (plus d (here s) (to_o z)) end.
Definition layer_of (B : block Z) : layer := Layer (prepare_by B) (after_by B).

(* Logits; and the output whose logit exceeds all others by more than the margin mn / md, if this is proved. *)
Definition logits_by : vector -> option vector :=
  let norm_last := normed (ln_final T) in
  let to_u := linear p e d (d_vocab_out A) (W_U T) (b_U T) in
  fun r => option_map to_u (norm_last r).
Fixpoint greatest (n : nat) (f : nat -> Z) : nat :=
  match n with O => O | S k => let a := greatest k f in if (f a <? f k)%Z then k else a end.
Variables mn md : Z.
Definition winner (v : vector) : option nat :=
  let best := greatest (d_vocab_out A) (mid v) in
  let lead := (md * (mid v best - 2 * err v) - Z.shiftl mn p)%Z in
  if (best <? d_vocab_out A)%nat && forallb (fun o => (o =? best)%nat || (md * mid v o <? lead)%Z) (seq 0 (d_vocab_out A)) then
    Some best else None.

(* The same in real numbers, on an input x. *)
Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> IZR (fst (expo y)) <= P * exp (- (IZR y / P)) <= IZR (snd (expo y)).
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < dh)%nat.
Hypothesis HG : (0 < G <= H)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end.
Notation real := (real e).
Notation RT := (map_transformer real T).
Variable x : list nat.

Lemma normed_holds W v y r : holds p d v r -> normed W v = Some y ->
  holds p d y (norm A (map_norm real W) r) /\ norm_defined A r = true.
Proof.
  intros F. unfold normed. cbv zeta.
  assert (C := centred_holds p Hp d v r F). change (fun i => r i - rsum d r / INR d) with (centred A r) in C.
  unfold norm, norm_defined, nonzero. destruct (normalization_type A); cbn [w_norm b_norm map_norm].
  - intros S. injection S as <-. auto.
  - destruct (divided (centred_of d v)) as [c|] eqn:E; [|discriminate]. intros S. injection S as <-.
    destruct (divided_holds A p Hp Heps _ _ _ _ Hd C E) as [D N]. split; [now apply (scaled_by_holds p Hp e d _ _ c)|].
    now destruct (Req_EM_T _ 0).
  - intros E. destruct (divided_holds A p Hp Heps _ _ _ _ Hd C E) as [D N]. split; auto. now destruct (Req_EM_T _ 0).
  - destruct (divided v) as [c|] eqn:E; [|discriminate]. intros S. injection S as <-.
    destruct (divided_holds A p Hp Heps _ _ _ _ Hd F E) as [D N]. split; [|now destruct (Req_EM_T _ 0)].
    eapply holds_ext; [|exact (scaled_by_holds p Hp e d _ _ c _ He D)]. intros i _. cbn beta. unfold real, Rdiv.
    rewrite Rmult_0_l. ring.
  - intros E. destruct (divided_holds A p Hp Heps _ _ _ _ Hd F E) as [D N]. split; auto. now destruct (Req_EM_T _ 0).
Qed.

Lemma scale_ok : let '(low, high) := scale_bounds in IZR low <= scale A * P <= IZR high.
Proof.
  unfold scale_bounds, scale. destruct (attn_scale A) as [[a b]|].
  - assert (Q := quotient_holds p Hp a b Hscale). unfold ratio. now destruct (quotient p a b).
  - assert (Q := root_of_size_holds p Hp dh). now destruct (root_of_size p dh).
Qed.

Section Block.
Variable B : block Z.
Notation RB := (map_block real B).
Variable r : nat -> nat -> R.

Definition flat_key (l i : nat) : R := key A RB r l (i / dh)%nat (i mod dh)%nat.
Definition flat_value (l i : nat) : R := value A RB r l (i / dh)%nat (i mod dh)%nat.
Definition spot_ok (l : nat) (s : spot) : Prop :=
  place (own s) = l /\ holds p d (here s) (r l) /\
  holds p (H * dh) (asks s) (fun i => query A RB r l (i / dh)%nat (i mod dh)%nat / scale A) /\
  entry_ok p dh flat_key flat_value G (own s) /\ heads_defined A RB r l = true /\ scale A <> 0.

Lemma prepare_from_ok l v normed_v s : holds p d v (r l) ->
  (forall y, normed_v = Some y -> holds p d y (norm A (map_norm real (ln1 B)) (r l)) /\ norm_defined A (r l) = true) ->
  prepare_from B l v normed_v = Some s -> spot_ok l s.
Proof.
  intros F Fn. unfold prepare_from. cbv zeta. assert (Sc := scale_ok). destruct scale_bounds as [low high].
  destruct normed_v as [y|]; [|discriminate]. destruct (Fn y eq_refl) as [N D].
  match goal with |- context [compared A e p H (q_norm B) l ?v] => set (vq := v) end.
  match goal with |- context [compared A e p G (k_norm B) l ?v] => set (vk := v) end.
  assert (Hvq : holds p (H * dh) vq (fun i => projected A RB r (W_Q RB) (b_Q RB) l (i / dh)%nat (i mod dh)%nat))
    by exact (linear_holds p Hp e d (H * dh) _ _ y _ He N).
  assert (Hvk : holds p (G * dh) vk (fun i => projected A RB r (W_K RB) (b_K RB) l (i / dh)%nat (i mod dh)%nat))
    by exact (linear_holds p Hp e d (G * dh) _ _ y _ He N).
  destruct (compared A e p H (q_norm B) l vq) as [q|] eqn:Eq; [|discriminate].
  destruct (compared A e p G (k_norm B) l vk) as [k|] eqn:Ek; [|discriminate].
  destruct (Z.ltb_spec 0 low) as [L|]; [|discriminate]. intros S. injection S as <-.
  destruct (compared_holds A e p Hp He Hdh Heps H (q_norm B) l vq q _ Hvq Eq) as [Q1 Q2].
  destruct (compared_holds A e p Hp He Hdh Heps G (k_norm B) l vk k _ Hvk Ek) as [K1 K2].
  unfold spot_ok. cbn [own here asks place entry_of]. repeat split; auto.
  - apply over_holds; auto.
  - exact (linear_holds p Hp e d (G * dh) _ _ y _ He N).
  - intros g _. cbn [key_sizes keys entry_of]. now rewrite memo1_eq.
  - unfold heads_defined. rewrite D. cbn [andb]. destruct (use_qk_norm A); auto. cbn [negb orb].
    apply andb_true_intro. split; apply forallb_forall; intros h Hh; apply in_seq in Hh; unfold nonzero.
    + destruct (Req_EM_T _ 0) as [Z|]; auto. exfalso. apply (Q2 eq_refl h ltac:(lia)). exact Z.
    + destruct (Req_EM_T _ 0) as [Z|]; auto. exfalso. apply (K2 eq_refl h ltac:(lia)). exact Z.
  - intros Z. rewrite Z, Rmult_0_l in Sc. apply IZR_lt in L. lra.
Qed.

Lemma prepare_ok l v s : holds p d v (r l) -> prepare_by B l v = Some s -> spot_ok l s.
Proof. intros F. unfold prepare_by. cbv zeta. apply prepare_from_ok; auto. intros y E. now apply (normed_holds _ v). Qed.

(* The entries of the positions before position n, if they may be looked at. *)
Definition entries_ok (n : nat) (entries : list entry) : Prop :=
  map place entries = visible A x n /\ forall E, In E entries -> entry_ok p dh flat_key flat_value G E.

Lemma head_at_ok h j s entries v : (h < H)%nat -> (j < K)%nat -> spot_ok j s -> entries_ok (horizon A j) entries ->
  head_at B h s entries = Some v -> holds p dh v (mixed A x RB r h j).
Proof.
  intros Hh J (Pl & _ & Q & _ & _ & Sn) (Ps & Es) F. unfold head_at in F. rewrite Pl in F.
  assert (Gh : (h * G / H < G)%nat) by (apply Nat.div_lt_upper_bound; [lia|nia]).
  assert (Hq : (h * dh + dh <= H * dh)%nat) by nia.
  assert (X := head_ok p Hp expo expo_ok dh (h * dh) (h * G / H) e (slopes B h) j (asks s) He
    (fun i => query A RB r j (i / dh)%nat (i mod dh)%nat / scale A) flat_key flat_value (real (slopes B h)) eq_refl
    G Gh (H * dh) Hq Q entries v Es F).
  eapply holds_ext; [|exact X]. intros c Hc. cbn beta. unfold mixed. rewrite (sees_none A x j J).
  assert (Sc : forall l, real_score dh (h * dh) (h * G / H) j (fun i => query A RB r j (i / dh)%nat (i mod dh)%nat / scale A)
    flat_key
    (real (slopes B h)) l = score A RB r h j l).
  { intros l. unfold real_score, score. f_equal. unfold Rdiv at 2. rewrite <- rsum_scal_r. apply rsum_ext. intros i Hi.
    unfold flat_key, group. rewrite !flat_div, !flat_mod by auto. field. auto. }
  rewrite <- Ps. unfold weight. destruct entries as [|E0 Es0] eqn:Shape; [reflexivity|]. cbn [map]. rewrite <- Shape in *.
  rewrite (rsum_ext K (fun l => (if sees A x j l then exp (score A RB r h j l) else 0) * value A RB r l (group A h) c)
    (fun l => if sees A x j l then exp (score A RB r h j l) * value A RB r l (group A h) c else 0)) by (intros l _;
      destruct (sees A x j l); ring).
  rewrite !rsum_visible, <- Ps, !rlist_map by auto. apply (f_equal2 Rdiv).
  - apply rlist_ext. intros E _. rewrite Sc. unfold flat_value. rewrite flat_div, flat_mod by auto. reflexivity.
  - apply rlist_ext. intros E _. now rewrite Sc.
Qed.

Lemma joined_ok j s entries z : (j < K)%nat -> spot_ok j s -> entries_ok (horizon A j) entries -> joined B s entries = Some z ->
  holds p (H * dh) z (fun i => mixed A x RB r (i / dh)%nat j (i mod dh)%nat).
Proof.
  intros J Sp Es Z. apply (by_heads_holds A p Hdh H _ z (fun h => mixed A x RB r h j) Z). intros h v Hh V.
  now apply (head_at_ok h j s entries).
Qed.

Lemma acted_holds v f : holds p m v f -> holds p m (acted v) (fun n => act (act_fn A) (f n)).
Proof.
  intros F. unfold acted. destruct (act_fn A); cbn [act].
  - now apply relu_holds.
  - apply gathered_holds. intros n Hn. apply silu_ok; auto. now apply F.
  - apply gathered_holds. intros n Hn. apply gelu_new_ok; auto. now apply F.
Qed.

Lemma mlp_ok j v w : holds p d v (after_attention A x RB r j) -> mlp_by B v = Some w ->
  holds p d w (fun i => after_attention A x RB r j i + rsum m (fun n => unit A x RB r j n * W_out RB n i) + b_out RB i) /\
  norm_defined A (after_attention A x RB r j) = true.
Proof.
  intros F. unfold mlp_by. cbv zeta. destruct (normed (ln2 B) v) as [u|] eqn:E; [|discriminate]. intros S. injection S as <-.
  destruct (normed_holds _ _ _ _ F E) as [N D]. split; auto.
  match goal with |- holds p d (plus d v (linear p e m d (W_out B) (b_out B) ?h)) _ => set (units := h) end.
  assert (U : holds p m units (unit A x RB r j)).
  { unfold units, unit. assert (In := fun b => linear_holds p Hp e d m (W_in B) b u _ He N).
    assert (Gate := linear_holds p Hp e d m (W_gate B) no_bias u _ He N). destruct (gated_mlp A).
    - apply plus_holds; [|now apply constant_holds]. apply products_holds; auto.
      + eapply holds_ext; [|apply acted_holds, Gate]. intros n _. cbn beta. unfold no_bias, Rdiv.
        now rewrite Rmult_0_l, Rplus_0_r.
      + eapply holds_ext; [|apply (In no_bias)]. intros n _. cbn beta. unfold no_bias, Rdiv. now rewrite Rmult_0_l, Rplus_0_r.
    - apply acted_holds. exact (In (b_in B)). }
  eapply holds_ext; [|apply plus_holds; [exact F|exact (linear_holds p Hp e m d _ (b_out B) units _ He U)]].
  intros i Hi. cbn beta. rewrite <- Rplus_assoc. reflexivity.
Qed.

Lemma after_ok j s entries v : (j < K)%nat -> spot_ok j s -> entries_ok (horizon A j) entries -> after_by B s entries = Some v
  ->
  holds p d v (after_block A x RB r j) /\ attn_only A || norm_defined A (after_attention A x RB r j) = true.
Proof.
  intros J Sp Es. unfold after_by. cbv zeta. destruct (joined B s entries) as [z|] eqn:Z; [|discriminate]. intros F.
  assert (M := joined_ok j s entries z J Sp Es Z). destruct Sp as (_ & R0 & _).
  assert (Att : holds p d (plus d (here s) (linear p e (H * dh) d (fun j i => W_O B (j / dh)%nat (j mod dh)%nat i) (b_O B) z))
    (after_attention A x RB r j)).
  { eapply holds_ext; [|apply plus_holds; [exact R0|exact (linear_holds p Hp e _ d _ (b_O B) z _ He M)]].
    intros i Hi. cbn beta. rewrite <- Rplus_assoc, rsum_flat. unfold after_attention. do 2 f_equal.
    apply rsum_ext; intros h _. apply rsum_ext; intros c Hc. rewrite flat_div, flat_mod by auto. reflexivity. }
  unfold after_block. destruct (attn_only A).
  - injection F as <-. auto.
  - cbn [orb]. exact (mlp_ok j _ v Att F).
Qed.
End Block.

Lemma logits_ok j v y : holds p d v (stream A RT x (n_layers A) j) -> logits_by v = Some y ->
  holds p (d_vocab_out A) y (logit A RT x j) /\ norm_defined A (stream A RT x (n_layers A) j) = true.
Proof.
  intros F. unfold logits_by. cbv zeta. destruct (normed (ln_final T) v) as [u|] eqn:E; [|discriminate]. intros S.
  injection S as <-.
  destruct (normed_holds _ _ _ _ F E) as [N D]. split; auto. exact (linear_holds p Hp e d _ _ (b_U T) u _ He N).
Qed.

Lemma winner_ok v y best : (0 < md)%Z -> holds p (d_vocab_out A) v y -> winner v = Some best ->
  (best < d_vocab_out A)%nat /\ forall o, (o < d_vocab_out A)%nat -> o <> best -> y o + IZR mn / IZR md < y best.
Proof.
  intros Hmd F. unfold winner. cbv zeta. set (b := greatest _ _). destruct (Nat.ltb_spec b (d_vocab_out A)) as [L|];
    [|discriminate].
  cbn [andb]. destruct (forallb _ _) eqn:C; [|discriminate]. intros S. injection S as <-. split; auto. intros o Ho N.
  rewrite forallb_forall in C. specialize (C o ltac:(apply in_seq; lia)). rewrite (proj2 (Nat.eqb_neq o b) N) in C.
  cbn [orb] in C.
  apply Z.ltb_lt, IZR_lt in C. rewrite Z.shiftl_mul_pow2, minus_IZR, !mult_IZR, minus_IZR, mult_IZR in C by lia.
  assert (X := F o Ho). assert (Y := F b L). apply within_iff in X, Y. assert (W := P_pos p Hp).
  assert (M : 0 < IZR md) by now apply IZR_lt.
  apply Rmult_lt_reg_r with (P * IZR md); [nra|].
  replace ((y o + IZR mn / IZR md) * (P * IZR md)) with (y o * P * IZR md + IZR mn * P) by (field; lra). nra.
Qed.
End Forward.
