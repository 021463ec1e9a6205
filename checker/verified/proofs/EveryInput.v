(* Inputs of a transformer one by one (rules transformer-forward and all-inputs, FORMAT.md 5.16), and how many it is proved to
  be
   right about. Causal ones share the work on what they have in common at the beginning. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels Tasks PrefixChains Vectors Attention Transformers Automata
  HeadVectors
  Forward.
Import ListNotations.

(* All lists of tokens that are looked at, some function that goes on token by token, and a verdict. *)
Section Walk.
Variables V K : nat.
Context {state : Type}.
Variable extend : nat -> nat -> state -> option state.
Variable verdict : state -> list nat -> bool.
Variable looked_at : list nat -> bool.   (* at those that begin like this, the last token first *)
Fixpoint walk (n : nat) (prefix : list nat) (s : state) : Z :=
  match n with
  | O => b2z (verdict s (rev prefix))
  | S k => zsum V (fun t =>
      if looked_at (t :: prefix) then match extend (K - n) t s with Some s' => walk k (t :: prefix) s' | None => 0%Z end else
        0%Z)
  end.

Variable right : list nat -> bool.
Variable invariant : list nat -> nat -> state -> Prop.
Hypothesis goes_on : forall x j s s', length x = K -> (j < K)%nat -> invariant x j s -> extend j (nth j x O) s = Some s' ->
  invariant x (S j) s'.
Hypothesis decides : forall x s, length x = K -> invariant x K s -> verdict s x = true -> right x = true.
Lemma walk_le n : forall prefix s, (length prefix + n = K)%nat -> (forall f, length f = n -> invariant (rev prefix ++ f) (K -
  n) s) ->
  (walk n prefix s <= cnt V all n (fun f => right (rev prefix ++ f)))%Z.
Proof.
  induction n as [|n IH]; intros prefix s L I.
  - cbn [walk cnt]. specialize (I [] eq_refl). rewrite app_nil_r, Nat.sub_0_r in *.
    destruct (verdict s (rev prefix)) eqn:E; [|destruct (right _); cbn; lia].
    rewrite (decides _ s); auto; [lia|]. rewrite rev_length. lia.
  - cbn [walk cnt]. apply zsum_le; intros t _. cbn [all]. assert (N : (0 <= cnt V all n (fun f => right (rev prefix ++ t ::
    f)))%Z) by apply cnt_nonneg.
    destruct (looked_at _); [|exact N]. destruct (extend _ t s) as [s'|] eqn:E; [|exact N].
    assert (Same : forall f, rev (t :: prefix) ++ f = rev prefix ++ t :: f) by (intros; cbn [rev]; now rewrite <- app_assoc).
    assert (X := IH (t :: prefix) s'). eapply Z.le_trans; [apply X|].
    + cbn [length]. lia.
    + intros f Lf. rewrite Same. replace (K - n)%nat with (S (K - S n)) by lia. apply (goes_on _ _ s); auto; try lia.
      * rewrite app_length, rev_length. cbn [length]. lia.
      * apply I. cbn [length]. lia.
      * rewrite app_nth2; rewrite rev_length; [|lia]. replace (K - S n - length prefix)%nat with O by lia. exact E.
    + rewrite (cnt_ext V all n _ (fun f => right (rev prefix ++ t :: f))); [lia|]. intros f _. now rewrite Same.
Qed.
End Walk.

Fixpoint gather {B C} (f : B -> option C) (l : list B) : option (list C) :=
  match l with
  | [] => Some []
  | b :: rest => match f b, gather f rest with Some c, Some others => Some (c :: others) | _, _ => None end
  end.
Lemma gather_ok {B C} (f : B -> option C) l : forall found, gather f l = Some found -> Forall2 (fun b c => f b = Some c) l
  found.
Proof.
  induction l as [|b l IH]; cbn; intros found E; [injection E as <-; constructor|].
  destruct (f b) eqn:Fb; [|discriminate]. destruct (gather f l); [|discriminate]. injection E as <-. constructor; auto.
Qed.

Section Inputs.
Variable the : task.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Notation L := (n_layers A). Notation K := (n_ctx A). Notation d := (d_model A).

Definition read_positions : list nat := match the with By_automaton M => map fst (reads M) | _ => [(K - 1)%nat] end.
Definition wanted (j : nat) : bool := existsb (Nat.eqb j) read_positions.
Definition is_pad (t : nat) : bool := match pad_token A with None => false | Some u => (t =? u)%nat end.
Definition embedded (j t : nat) : vector := constant e p d (fun i => W_E T t i + W_pos T j i)%Z.

Variable layers : nat -> layer.
Variable first : nat -> nat -> option spot.
Variable logits : vector -> option vector.
Definition decided (j : nat) (r : vector) : option (nat * nat) :=
  match logits r with None => None | Some y => option_map (pair j) (winner A p mn md y) end.

(* Causal: a position after others, of which each layer has the entries. *)
Fixpoint through (last pad : bool) (count i : nat) (s : spot) (caches : list (list entry)) : option (list (list entry) * option
  vector) :=
  match count, caches with
  | S k, c :: rest =>
    let c' := if pad then c else own s :: c in
    match k with
    | O => if last then match after (layers i) s c' with Some r => Some ([c'], Some r) | None => None end else Some ([c'], None)
    | S _ =>
      match after (layers i) s c' with
      | None => None
      | Some r =>
        match prepare (layers (S i)) (place (own s)) r with
        | None => None
        | Some s' => match through last pad k (S i) s' rest with Some (cs, out) => Some (c' :: cs, out) | None => None end
        end
      end
    end
  | _, _ => None
  end.
Definition state : Type := list (list entry) * list (nat * nat).   (* entries of each layer;
  positions read, and what is on top there *)
Definition start : state := (repeat [] L, []).
Definition one_more (j t : nat) (s : state) : option state :=
  match first j t with
  | None => None
  | Some sp =>
    match through (wanted j) (is_pad t) L O sp (fst s) with
    | None => None
    | Some (cs, None) => Some (cs, snd s)
    | Some (cs, Some r) => match decided j r with None => None | Some w => Some (cs, w :: snd s) end
    end
  end.
(* Bidirectional: all positions, layer by layer. *)
Fixpoint all_positions (x : list nat) (count i : nat) (spots : list spot) : option (list (nat * nat)) :=
  match count with
  | O => None
  | S k =>
    let c := map own (filter (fun s => negb (is_pad (nth (place (own s)) x O))) spots) in
    match k with
    | O => gather (fun s => match after (layers i) s c with None => None | Some r => decided (place (own s)) r end)
        (filter (fun s => wanted (place (own s))) spots)
    | S _ =>
      match gather (fun s => match after (layers i) s c with None => None | Some r => prepare (layers (S i)) (place (own s)) r
        end) spots with
      | None => None
      | Some spots' => all_positions x k (S i) spots'
      end
    end
  end.
Definition all_at_once (x : list nat) : list (nat * nat) :=
  match gather (fun j => first j (nth j x O)) (downto K) with
  | None => []
  | Some spots => match all_positions x L O spots with None => [] | Some found => found end
  end.

Definition extended (j t : nat) (s : state) : option state := if bidirectional A then Some s else one_more j t s.
Definition agree (found reads : list (nat * nat)) : bool :=
  forallb (fun read => existsb (fun w => (fst w =? fst read)%nat && (snd w =? snd read)%nat) found) reads.
Definition proved (s : state) (x : list nat) : bool :=
  match truth the K x with
  | None => false
  | Some reads => agree (if bidirectional A then all_at_once x else snd s) reads
  end.

Hypothesis Hp : (0 <= p)%Z.
Hypothesis He : (0 <= e)%Z.
Hypothesis Hmd : (0 < md)%Z.
Hypothesis expo_ok : forall y, (0 <= y)%Z -> (IZR (fst (expo y)) <= IZR (2 ^ p) * exp (- (IZR y / IZR (2 ^ p))) <= IZR (snd
  (expo y)))%R.
Hypothesis Hd : (0 < d)%nat.
Hypothesis Hdh : (0 < d_head A)%nat.
Hypothesis HG : (0 < n_key_value_heads A <= n_heads A)%nat.
Hypothesis Heps : (0 <= fst (eps A))%Z /\ (0 < snd (eps A))%Z.
Hypothesis Hscale : match attn_scale A with None => True | Some (a, b) => (0 < b)%Z end.
Hypothesis Hlayers : forall i, layers i = layer_of A e p expo (blocks T i).
Hypothesis Hfirst : forall j t, first j t = prepare (layers O) j (embedded j t).
Hypothesis Hlogits : logits = logits_by A e p T.
Notation RT := (map_transformer (real e) T).
Notation margin := (IZR mn / IZR md)%R.

Section Input.
Variable x : list nat.
Hypothesis Hx : length x = K.
Notation stream := (stream A RT x).
Notation defined := (defined A RT x).
Notation spot_at i := (spot_ok A e p (blocks T i) (stream i)).
Notation visible := (visible A x).

Definition whole (i l : nat) : Prop := defined i l = true /\
  heads_defined A (map_block (real e) (blocks T i)) (stream i) l = true.
Definition cache_ok (n i : nat) (c : list entry) : Prop :=
  entries_ok A e p x (blocks T i) (stream i) n c /\ forall l, In l (visible n) -> whole i l.
Fixpoint caches_ok (n i : nat) (cs : list (list entry)) : Prop :=
  match cs with [] => True | c :: rest => cache_ok n i c /\ caches_ok n (S i) rest end.
Definition winners_ok (found : list (nat * nat)) : Prop :=
  forall w, In w found -> right_at A RT x margin (fst w) (snd w) = true.

Lemma embedded_ok j : (j < K)%nat -> holds p d (embedded j (nth j x O)) (stream O j).
Proof.
  intros _. eapply holds_ext; [|eapply constant_holds; eauto]. intros i _. cbn beta. unfold real. rewrite plus_IZR.
  unfold Rdiv. rewrite Rmult_plus_distr_r. reflexivity.
Qed.
Lemma first_ok j s : (j < K)%nat -> first j (nth j x O) = Some s -> spot_at O j s.
Proof.
  intros J F. rewrite Hfirst, Hlayers in F. cbn [prepare layer_of] in F.
  eapply (prepare_ok A e p); eauto. now apply embedded_ok.
Qed.

Lemma defined_next i j : (j < K)%nat -> (forall l, In l (visible (horizon A j)) -> whole i l) -> whole i j ->
  attn_only A || norm_defined A (after_attention A x (map_block (real e) (blocks T i)) (stream i) j) = true -> defined (S i) j
    = true.
Proof.
  intros J Vs Own Mid. cbn [Transformers.defined map_transformer blocks]. apply andb_true_intro. split; [|exact Mid].
  apply forallb_forall. intros l Hl. apply in_seq in Hl. destruct (sees A x j l) eqn:S; cbn [orb negb].
  - apply (sees_iff A x j l J) in S; [|lia]. destruct (Vs l S) as [D N]. now rewrite D, N.
  - destruct (Nat.eqb_spec l j) as [->|]; auto. destruct Own as [D N]. now rewrite D, N.
Qed.
Lemma after_layer i j s c r : (j < K)%nat -> spot_at i j s -> defined i j = true -> cache_ok (horizon A j) i c ->
  after (layers i) s c = Some r -> holds p d r (stream (S i) j) /\ defined (S i) j = true.
Proof.
  intros J Sp Df [Es Vs] F. rewrite Hlayers in F. cbn [after layer_of] in F.
  assert (X : holds p d r (after_block A x (map_block (real e) (blocks T i)) (stream i) j) /\
    attn_only A || norm_defined A (after_attention A x (map_block (real e) (blocks T i)) (stream i) j) = true) by (eapply
      after_ok; eauto).
  destruct X as [R0 N].
  split; [exact R0|]. apply defined_next; auto. split; auto. apply Sp.
Qed.
Lemma decided_ok j r w : holds p d r (stream L j) -> defined L j = true -> decided j r = Some w -> fst w = j /\ right_at A RT x
  margin (fst w) (snd w) = true.
Proof.
  intros R0 D. unfold decided. rewrite Hlogits. destruct (logits_by A e p T r) as [y|] eqn:E; [|discriminate].
  assert (YN := logits_ok A e p T Hp He Hd Heps x j r y R0 E). destruct YN as [Y N].
  destruct (winner A p mn md y) as [best|] eqn:W; [|discriminate].
  intros S. injection S as <-. cbn [fst snd]. split; auto. apply right_at_iff.
  assert (Z := winner_ok A p mn md Hp Hd Hdh HG y _ best Hmd Y W). destruct Z as [B O0]. exact (conj D (conj N (conj B O0))).
Qed.

Lemma seen_also i j s c (pad : bool) : pad = is_pad (nth j x O) -> spot_at i j s -> defined i j = true -> cache_ok j i c ->
  cache_ok (S j) i (if pad then c else own s :: c).
Proof.
  intros -> Sp D [[Ps Es] Vs]. assert (E : visible (S j) = if is_pad (nth j x O) then visible j else j :: visible j).
  { unfold Forward.visible. cbn [downto filter]. unfold hidden, is_pad, token. destruct (pad_token A) as [u|]; cbn [negb]; auto.
    destruct (nth j x O =? u)%nat; reflexivity. }
  destruct Sp as (Pl & _ & _ & En & N & _). unfold cache_ok, entries_ok. rewrite E. destruct (is_pad _); [auto|].
  split; [split|].
  - cbn [map]. now rewrite Pl, Ps.
  - intros E0 [<-|I]; auto.
  - intros l [<-|I]; [split; auto|now apply Vs].
Qed.

Lemma through_ok j last pad : (j < K)%nat -> bidirectional A = false -> pad = is_pad (nth j x O) ->
  forall count i s caches cs out, (i + count = L)%nat -> spot_at i j s -> defined i j = true -> caches_ok j i caches ->
  through last pad count i s caches = Some (cs, out) ->
  caches_ok (S j) i cs /\ forall r, out = Some r -> holds p d r (stream L j) /\ defined L j = true.
Proof.
  intros J Causal Pad. assert (Hz : horizon A j = S j) by (unfold horizon; now rewrite Causal).
  induction count as [|k IH]; intros i s caches cs out Li Sp D Cs; cbn [through]; [discriminate|].
  destruct caches as [|c rest]; [discriminate|]. destruct Cs as [C0 Cs].
  assert (C1 := seen_also i j s c pad Pad Sp D C0). set (c' := if pad then c else own s :: c) in *. cbv zeta.
  assert (Next := after_layer i j s c'). rewrite Hz in Next. destruct k as [|k].
  - destruct last.
    + destruct (after (layers i) s c') as [r|] eqn:F; [|discriminate]. intros E. injection E as <- <-.
      cbn [caches_ok]. split; auto. intros r0 E. injection E as <-. replace L with (S i) by lia. now apply Next.
    + intros E. injection E as <- <-. cbn [caches_ok]. split; auto. discriminate.
  - destruct (after (layers i) s c') as [r|] eqn:F; [|discriminate]. destruct (Next r J Sp D C1 eq_refl) as [R0 D1].
    rewrite (proj1 Sp). destruct (prepare (layers (S i)) j r) as [s'|] eqn:Pr; [|discriminate].
    destruct (through last pad (S k) (S i) s' rest) as [[cs0 out0]|] eqn:Th; [|discriminate]. intros E. injection E as <- <-.
    rewrite Hlayers in Pr. cbn [prepare layer_of] in Pr.
    assert (Sp' : spot_at (S i) j s') by (eapply (prepare_ok A e p); eauto).
    destruct (IH (S i) s' rest cs0 out0 ltac:(lia) Sp' D1 Cs Th) as [Cs0 Out]. cbn [caches_ok]. auto.
Qed.

(* All positions at once. *)
Definition spots_ok (i : nat) (spots : list spot) : Prop := Forall2 (fun j s => spot_at i j s /\ defined i j = true) (downto K)
  spots.
Lemma cache_of_spots i js spots : Forall2 (fun j s => spot_at i j s /\ defined i j = true) js spots ->
  let c := map own (filter (fun s => negb (is_pad (nth (place (own s)) x O))) spots) in
  map place c = filter (fun l => negb (hidden A x l)) js /\
  (forall E, In E c -> entry_ok p (d_head A) (flat_key A e (blocks T i) (stream i)) (flat_value A e (blocks T i) (stream i))
    (n_key_value_heads A) E).
Proof.
  induction 1 as [|j s js spots [Sp D] F IH]; cbn [filter map]; [split; [reflexivity|intros E []]|].
  destruct Sp as (Pl & _ & _ & En & _). rewrite Pl.
  assert (Hd0 : is_pad (nth j x O) = hidden A x j) by reflexivity. rewrite Hd0. cbv zeta in IH. destruct IH as [IH1 IH2].
  destruct (hidden A x j); cbn [negb map]; [split; auto|]. split; [cbn; now rewrite Pl, IH1|]. intros E [<-|I]; auto.
Qed.
Lemma all_positions_ok : bidirectional A = true -> forall count i spots found, (i + count = L)%nat -> spots_ok i spots ->
  all_positions x count i spots = Some found -> winners_ok found.
Proof.
  intros Bi. induction count as [|k IH]; intros i spots found Li Sps; cbn [all_positions]; [discriminate|].
  set (c := map own _). assert (Hz : forall j, horizon A j = K) by (intros; unfold horizon; now rewrite Bi).
  assert (Each : forall j s, In (j, s) (combine (downto K) spots) -> (j < K)%nat /\ spot_at i j s /\ defined i j = true).
  { intros j s I. assert (J := in_combine_l _ _ _ _ I). apply in_downto in J. split; auto. clear -I Sps. unfold spots_ok in Sps.
    revert I. induction Sps as [|a b la lb R0 F IHF]; cbn; [intros []|]. intros [E|I]; [injection E as <- <-; auto|auto]. }
  assert (C0 : forall j, cache_ok (horizon A j) i c).
  { intros j. rewrite Hz. destruct (cache_of_spots i (downto K) spots Sps) as [Ps Es]. split; [split; auto|].
    intros l I. unfold Forward.visible in I. apply filter_In in I as [I _].
    clear -I Sps. unfold spots_ok in Sps. induction Sps as [|a b la lb [Sp D] F IHF]; [destruct I|].
    destruct I as [->|I]; auto. split; auto. apply Sp. }
  assert (After : forall s r, In s spots -> after (layers i) s c = Some r ->
    (place (own s) < K)%nat /\ holds p d r (stream (S i) (place (own s))) /\ defined (S i) (place (own s)) = true).
  { intros s r I F. assert (X : exists j, In (j, s) (combine (downto K) spots)).
    { clear -I Sps. unfold spots_ok in Sps. induction Sps as [|a b la lb R0 F IHF]; [destruct I|]. cbn.
      destruct I as [->|I]; [eauto|].
      destruct (IHF I) as [j Hj]. eauto. }
    destruct X as [j X]. destruct (Each j s X) as (J & Sp & D). rewrite (proj1 Sp). split; auto.
    exact (after_layer i j s c r J Sp D (C0 j) F). }
  destruct k as [|k].
  - intros G. apply gather_ok in G. intros w I.
    assert (X : exists s, In s spots /\ match after (layers i) s c with None => None | Some r => decided (place (own s)) r end
      = Some w).
    { assert (Sub : forall s, In s (filter (fun s => wanted (place (own s))) spots) -> In s spots) by (intros s Is;
      now apply filter_In in Is).
      revert I Sub. clear -G. induction G as [|a b la lb R0 F IHF]; [intros []|].
      intros [->|I] Sub; [exists a; split; auto; apply Sub; now left|].
      apply IHF; auto. intros s Is. apply Sub. now right. }
    destruct X as (s & Is & F). destruct (after (layers i) s c) as [r|] eqn:Af; [|discriminate].
    destruct (After s r Is Af) as (J & R0 & D). replace (S i) with L in * by lia.
    exact (proj2 (decided_ok _ r w R0 D F)).
  - set (f s := match after (layers i) s c with None => None | Some r => prepare (layers (S i)) (place (own s)) r end).
    destruct (gather f spots) as [spots'|] eqn:G; [|discriminate]. apply (IH (S i)); [lia|]. apply gather_ok in G.
    assert (After' : forall s s', In s spots -> f s = Some s' -> spot_at (S i) (place (own s)) s' /\ defined (S i) (place (own
      s)) = true).
    { intros s s' I F. unfold f in F. destruct (after (layers i) s c) as [r|] eqn:Af; [|discriminate].
      destruct (After s r I Af) as (J & R0 & D). split; auto. rewrite Hlayers in F. cbn [prepare layer_of] in F.
      eapply (prepare_ok A e p); eauto. }
    clearbody f. unfold spots_ok in *. clear -Sps G After'. revert spots' G.
    induction Sps as [|a b la lb [Sp D] F IHF]; intros spots' G.
    + inversion G. constructor.
    + inversion G as [|? ? ? ? Fb Gr]; subst. constructor.
      * rewrite <- (proj1 Sp) at 1 2. apply After'; auto. now left.
      * apply IHF; auto. intros s s' I. apply After'. now right.
Qed.
Lemma all_at_once_ok : bidirectional A = true -> winners_ok (all_at_once x).
Proof.
  intros Bi. unfold all_at_once. destruct (gather _ (downto K)) as [spots|] eqn:G; [|intros w []].
  destruct (all_positions x L O spots) as [found|] eqn:E; [|intros w []]. apply (all_positions_ok Bi L O spots); auto.
  apply gather_ok in G. unfold spots_ok. assert (B : forall j, In j (downto K) -> (j < K)%nat) by (intros j; apply in_downto).
  assert (Fo := first_ok). clear E. revert B G. clear -Fo. intros B G. revert B.
  induction G as [|j s js spots F G IH]; intros B; constructor.
  - split; [|reflexivity]. apply Fo; auto. apply B. now left.
  - apply IH. intros k Ik. apply B. now right.
Qed.

Definition state_ok (n : nat) (s : state) : Prop := bidirectional A = false -> caches_ok n O (fst s) /\ winners_ok (snd s).
Lemma start_ok : state_ok O start.
Proof.
  intros _. split; [|intros w []]. cbn [start fst]. generalize O at 2 as i. generalize L as l.
  induction l as [|l IH]; intros i; cbn; auto.
  split; auto. split; [split; [reflexivity|intros E []]|intros k []].
Qed.
Lemma extended_ok j s s' : (j < K)%nat -> state_ok j s -> extended j (nth j x O) s = Some s' -> state_ok (S j) s'.
Proof.
  intros J Ok F Causal. unfold extended in F. rewrite Causal in F. destruct (Ok Causal) as [Cs Ws]. unfold one_more in F.
  destruct (first j (nth j x O)) as [sp|] eqn:Fi; [|discriminate]. assert (Sp := first_ok j sp J Fi).
  destruct (through _ _ L O sp (fst s)) as [[cs out]|] eqn:Th; [|discriminate].
  destruct (through_ok j _ _ J Causal eq_refl L O sp (fst s) cs out (Nat.add_0_l L) Sp eq_refl Cs Th) as [Cs' Out].
  destruct out as [r|].
  - destruct (decided j r) as [w|] eqn:D; [|discriminate]. injection F as <-. cbn [fst snd]. split; auto.
    destruct (Out r eq_refl) as [R0 Df].
    intros w0 [<-|I]; [exact (proj2 (decided_ok j r w R0 Df D))|now apply Ws].
  - injection F as <-. cbn [fst snd]. auto.
Qed.
Lemma proved_ok s : state_ok K s -> proved s x = true -> right_input the A RT margin x = true.
Proof.
  intros Ok. unfold proved, right_input. destruct (truth the K x) as [reads|]; [|discriminate].
  assert (W : winners_ok (if bidirectional A then all_at_once x else snd s)).
  { destruct (bidirectional A) eqn:Bi; [now apply all_at_once_ok|]. now apply Ok. }
  unfold agree. rewrite !forallb_forall. intros F read I. specialize (F read I). apply existsb_exists in F as (w & Iw & E).
  apply andb_prop in E as [E1 E2]. apply Nat.eqb_eq in E1, E2. rewrite <- E1, <- E2. now apply W.
Qed.
End Input.

Definition count_inputs (looked_at : list nat -> bool) : Z := walk (d_vocab A) K extended proved looked_at K [] start.
Theorem count_inputs_le looked_at : (count_inputs looked_at <= n_right_inputs the A RT margin)%Z.
Proof.
  unfold count_inputs, n_right_inputs. rewrite <- cnt_spec.
  apply (walk_le (d_vocab A) K extended proved looked_at (right_input the A RT margin) state_ok); auto.
  - intros x j s s' Lx J Ok F. eapply extended_ok; eauto.
  - intros x s Lx Ok F. eapply proved_ok; eauto.
  - intros f Lf. rewrite Nat.sub_diag. apply start_ok.
Qed.
End Inputs.
