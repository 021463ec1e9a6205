(* Rule regions (FORMAT.md 5.17): a finer automaton divides inputs into regions, and one of its reads is proved for all inputs
  of a
   region at once; and rule all-reads. Nothing is believed of the finer automaton: a step that does not fit is none. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels PrefixChains Exponential Vectors Attention Transformers Automata
  Forward EveryInput
  ReadingOrder Boxes AfterAttention.
Import ListNotations.
Open Scope Z_scope.

(* Sums and hulls of boxes. *)
Definition add_boxes (n : nat) (a b : box) : box := memo1 n (fun k => (fst (a k) + fst (b k), snd (a k) + snd (b k))).
Definition hull_of (n : nat) (a b : box) : box := memo1 n (fun k => (Z.min (fst (a k)) (fst (b k)), Z.max (snd (a k)) (snd (b
  k)))).
Definition contained (n : nat) (a b : box) : bool := forallb (fun k => (fst (b k) <=? fst (a k)) && (snd (a k) <=? snd (b k)))
  (seq 0 n).
(* Whether the sum of two boxes is contained in another one. *)
Fixpoint sum_contained (n : nat) (a b c : box) : bool :=
  match n with
  | O => true
  | S k => let (low, high) := a k in let (less, more) := b k in let (least, most) := c k in
    (least <=? low + less) && (high + more <=? most) && sum_contained k a b c
  end.
Lemma zsum_at n f t : (t < n)%nat -> (forall i, 0 <= f i) -> f t <= zsum n f.
Proof.
  induction n as [|n IH]; intros L N; [lia|]. cbn [zsum]. assert (0 <= zsum n f) by (apply zsum_nonneg; auto).
  specialize (N n) as Nn.
  destruct (Nat.eq_dec t n) as [->|]; [lia|]. specialize (IH ltac:(lia) N). lia.
Qed.
Lemma cnt_exists V n : forall P f, length f = n -> Forall (fun t => (t < V)%nat) f -> P f = true -> 0 < cnt V all n P.
Proof.
  induction n as [|n IH]; intros P f L F H.
  - destruct f; [|discriminate]. cbn. now rewrite H.
  - destruct f as [|t f]; [discriminate|]. inversion F as [|? ? Ft F']; subst. injection L as L. cbn [cnt all].
    assert (X := IH (fun f => P (t :: f)) f L F' H).
    assert (Y := zsum_at V (fun t => cnt V all n (fun f => P (t :: f))) t Ft ltac:(intros; apply cnt_nonneg)). cbn beta in Y.
    lia.
Qed.
Fixpoint hull_all (n : nat) (found : list box) : box :=
  match found with [] => zero_box | [b] => b | b :: rest => hull_of n b (hull_all n rest) end.

(* What stands for a token at its position: itself, or in a layer that works on classes of prefixes the state after it. A query is
   what stands for the token at the position that is read. *)
Definition symbol_of (by_state : bool) (s t : nat) : nat := if by_state then s else t.

Section Regions.
Variable A : architecture.
Variables e p mn md : Z.
Variable T : transformer Z.
Variable expo : Z -> Z * Z.
Variable M : automaton.
Variable number : nat.   (* of the read *)
Variable states : nat.   (* the automaton's are below; more are not looked up in tables *)
Variable W : nat.   (* so many numbers are summed up *)
Notation V := (d_vocab A). Notation K := (n_ctx A).
Definition position : nat := fst (nth number (reads M) (O, O)).
Definition steps : nat := snd (nth number (reads M) (O, O)).

Variable by_state : bool.
Variable symbols : nat.
Notation symbol := (symbol_of by_state).
Variable term : nat -> nat -> nat -> option box.   (* of a query, a symbol and a position *)
Variable leads : nat -> nat -> nat -> box -> bool.   (* of a query, a region, its output, and bounds of the sums *)

(* The finer automaton: where a query starts; where a state leads with a token after some steps;
  what states stand for: a state of the
   task's automaton, a query, and bounds of the sum over the positions read so far. *)
Variable starts : nat -> option nat.
Variable finer : nat -> nat -> nat -> option nat.
Variables label owner : nat -> nat -> nat.
Variable bounds : nat -> nat -> box.
Variable sizes : nat -> nat.

Fixpoint due_from (r : nat) (l : list (nat * nat)) (i s : nat) : bool :=
  match l with
  | [] => true
  | rd :: rest => (negb (snd rd =? i)%nat || match output M r s with Some _ => true | None => false end) && due_from (S r) rest
    i s
  end.
Definition due (i s : nat) : bool := due_from O (reads M) i s.
Lemma due_iff i s : due i s = true <-> forall r, (r < length (reads M))%nat -> snd (nth r (reads M) (O, O)) = i -> output M r s
  <>
  None.
Proof.
  unfold due. assert (G : forall l r0, due_from r0 l i s = true <-> forall r, (r < length l)%nat -> snd (nth r l (O, O)) = i ->
    output M (r0 + r) s <> None); [|apply (G (reads M) O)].
  induction l as [|rd l IH]; intros r0; cbn [due_from length]; [split; [lia|auto]|].
  rewrite andb_true_iff, IH, orb_true_iff, negb_true_iff, Nat.eqb_neq. split.
  - intros [A1 A2] [|r] L E; cbn [nth] in E.
    + rewrite Nat.add_0_r. destruct A1 as [A1|A1]; [easy|]. now destruct (output M r0 s).
    + replace (r0 + S r)%nat with (S r0 + r)%nat by lia. apply A2; auto. lia.
  - intros F. split.
    + destruct (Nat.eq_dec (snd rd) i) as [E|N]; auto. right. specialize (F O ltac:(lia) E). rewrite Nat.add_0_r in F.
      now destruct (output M r0 s).
    + intros r L E. replace (S r0 + r)%nat with (r0 + S r)%nat by lia. apply F; auto. lia.
Qed.
(* A step of the task's automaton that inputs with a query may take, and what it adds. *)
Definition step (q i s t : nat) : option (nat * box) :=
  match transition M i s t with
  | None => None
  | Some s' =>
    let y := symbol s' t in
    match term q y (order M i) with
    | Some b => if due (S i) s' && (negb (order M i =? position)%nat || (y =? q)%nat) then Some (s', b) else None
    | None => None
    end
  end.
(* Positions at which nothing is added, since they are not looked at; and steps after which this is so in all. *)
Definition unseen (j : nat) : bool := negb (bidirectional A) && (position <? j)%nat.
Definition silent (i : nat) : bool := forallb (fun l => unseen (order M l)) (seq i (K - i)).
(* How many ways there are to go on to the end, and bounds of what they add. *)
Fixpoint going_on (q n i : nat) : nat -> Z * box :=
  match n with
  | O => fun _ => (1, zero_box)
  | S k =>
    let next := going_on q k (S i) in
    let nothing := silent i in
    memo1 states (fun s =>
      let taken t := match step q i s t with
        | Some (s', b) => let '(ways, rest) := next s' in if 0 <? ways then Some (ways, if nothing then zero_box else add_boxes
          W b rest)
          else None
        | None => None end in
      (zsum V (fun t => match taken t with Some (ways, _) => ways | None => 0 end),
       if nothing then zero_box
       else hull_all W (flat_map (fun t => match taken t with Some (_, b) => [b] | None => [] end) (seq 0 V))))
  end.
Definition region_proved (q u : nat) (rest : box) : bool :=
  match output M number (label steps u) with
  | Some best => (best <? d_vocab_out A)%nat && leads q u best (add_boxes W (bounds steps u) rest)
  | None => false
  end.
Definition edge (i u t : nat) : option nat :=
  match finer i u t with
  | None => None
  | Some u' =>
    match step (owner i u) i (label i u) t with
    | None => None
    | Some (s', b) => if (s' =? label (S i) u')%nat && (owner (S i) u' =? owner i u)%nat && sum_contained W (bounds i u) b
      (bounds (S i)
      u') then Some u' else None
    end
  end.
Variable endings : nat -> nat -> Z * box.   (* of a query and a state, after the read's steps *)
Fixpoint good (n i : nat) : nat -> Z :=
  match n with
  | O => memo1 (sizes i) (fun u => let q := owner i u in let '(ways, rest) := endings q (label i u) in
      if (0 <? ways) && region_proved q u rest then ways else 0)
  | S k => let next := good k (S i) in
    memo1 (sizes i) (fun u => zsum V (fun t => match edge i u t with Some u' => next u' | None => 0 end))
  end.
Definition begins (q u : nat) : bool := (owner O u =? q)%nat && (label O u =? O)%nat && contained W zero_box (bounds O u).
Definition count_regions : Z :=
  let found := good steps O in
  zsum symbols (fun q => match starts q with Some u => if begins q u then found u else 0 | None => 0 end).

(* The same of lists of tokens in reading order. *)
Fixpoint accepted (q n i s : nat) (f : list nat) : bool :=
  match n, f with
  | O, [] => true
  | S k, t :: rest => match step q i s t with Some (s', _) => accepted q k (S i) s' rest | None => false end
  | _, _ => false
  end.
Fixpoint follows (n i u : nat) (f : list nat) : bool :=
  match n with
  | O => let q := owner i u in region_proved q u (snd (going_on q (K - steps) steps (label i u))) && accepted q (K - steps)
    steps (label i u) f
  | S k => match f with [] => false | t :: rest => match edge i u t with Some u' => follows k (S i) u' rest | None => false end
    end
  end.
Lemma going_on_cnt q n : forall i s, fst (going_on q n i s) = cnt V all n (accepted q n i s).
Proof.
  induction n as [|n IH]; intros i s; [reflexivity|]. cbn [going_on cnt]. rewrite memo1_eq. cbn [fst]. apply zsum_ext.
  intros t _. cbn [all accepted].
  destruct (step q i s t) as [[s' b]|]; [|now rewrite cnt_false].
  specialize (IH (S i) s'). change (cnt V all n (fun f => accepted q n (S i) s' f)) with (cnt V all n (accepted q n (S i) s')).
  destruct (going_on q n (S i) s') as [ways rest]. cbn [fst] in IH. rewrite <- IH.
  destruct (Z.ltb_spec 0 ways) as [L|L]; auto. assert (N := cnt_nonneg V all n (accepted q n (S i) s')). lia.
Qed.
Hypothesis Endings : forall q s, endings q s = going_on q (K - steps) steps s.
Lemma good_cnt n : forall i u, (n + i = steps)%nat -> good n i u = cnt V all (n + (K - steps)) (follows n i u).
Proof.
  induction n as [|n IH]; intros i u E.
  - cbn [good follows Nat.add]. rewrite memo1_eq, Endings. cbv zeta. replace i with steps in * by lia.
    assert (C := going_on_cnt (owner steps u) (K - steps) steps (label steps u)).
    destruct (going_on (owner steps u) (K - steps) steps (label steps u)) as [ways rest]. cbn [fst snd] in *.
    destruct (region_proved (owner steps u) u rest).
    + cbn [andb]. change (cnt V all (K - steps) (fun f => accepted (owner steps u) (K - steps) steps (label steps u) f)) with
        (cnt V all (K - steps) (accepted (owner steps u) (K - steps) steps (label steps u))). rewrite <- C.
      destruct (Z.ltb_spec 0 ways) as [L|L]; cbn [andb]; auto. assert (N := cnt_nonneg V all (K - steps) (accepted (owner steps
        u) (K - steps) steps (label steps u))). lia.
    + rewrite andb_false_r. now rewrite cnt_false.
  - cbn [good follows Nat.add cnt]. rewrite memo1_eq. apply zsum_ext. intros t _. cbn [all].
    destruct (edge i u t) as [u'|]; [|now rewrite cnt_false].
    rewrite IH by lia. reflexivity.
Qed.

(* Which input such a list is of: x, whose token at position j is read in some step. *)
Section Input.
Variable x : list nat.
Variable total : nat -> nat -> R.   (* what position j adds to coordinate k *)
Notation P := (IZR (2 ^ p)).
Notation tok j := (nth j x O).
Variable lives : Prop.
Variable sym : nat -> nat.   (* the symbol at a position *)
Hypothesis Symbol : forall i s, (i < K)%nat -> state_after M x (S i) = Some s -> symbol s (tok (order M i)) = sym (order M i).
Hypothesis Term : forall j b, lives -> (j < K)%nat -> term (sym position) (sym j) j = Some b -> inside p W b (fun k => total k j).
Hypothesis Unseen : forall j k, unseen j = true -> total k j = 0%R.
Hypothesis Order : forall i, (i < K)%nat -> (order M i < K)%nat.
Definition reads_on (i : nat) (f : list nat) : Prop := length f = (K - i)%nat /\ Forall (fun t => (t < V)%nat) f /\ forall k,
  (i + k < K)%nat -> nth k f O = tok (order M (i + k)).
Lemma reads_on_cons i t f : reads_on i (t :: f) -> (i < K)%nat /\ t = tok (order M i) /\ (t < V)%nat /\ reads_on (S i) f.
Proof.
  intros (L & Fv & N). inversion Fv as [|? ? Ft Fv']; subst. cbn [length] in L. assert (I : (i < K)%nat) by lia. split; auto.
  split.
  - specialize (N O ltac:(lia)). now rewrite Nat.add_0_r in N.
  - split; auto. split; [lia|]. split; auto. intros k Hk. specialize (N (S k) ltac:(lia)). cbn [nth] in N. rewrite N.
    do 2 f_equal. lia.
Qed.
Definition alive (i : nat) : Prop := exists s, state_after M x i = Some s /\ due i s = true.
Lemma step_ok q i s t s' b : (i < K)%nat -> step q i s t = Some (s', b) -> t = tok (order M i) -> state_after M x i = Some s ->
  state_after M x (S i) = Some s' /\ due (S i) s' = true /\ (order M i = position -> sym position = q) /\
  term q (sym (order M i)) (order M i) = Some b.
Proof.
  unfold step. intros L E -> S. destruct (transition M i s (tok (order M i))) as [u|] eqn:Tr; [|discriminate].
  assert (S' : state_after M x (Datatypes.S i) = Some u) by (cbn [state_after]; now rewrite S, Tr).
  cbv zeta in E. rewrite (Symbol i u L S') in E. destruct (term q (sym (order M i)) (order M i)) as [c|] eqn:Te; [|discriminate].
  destruct (due (Datatypes.S i) u && _) eqn:C; [|discriminate].
  injection E as <- <-. apply andb_prop in C as [D N]. repeat split; auto.
  intros O0. rewrite O0, Nat.eqb_refl in N. cbn [negb orb] in N. now apply Nat.eqb_eq in N.
Qed.
Definition sum_from (i n k : nat) : R := rsum n (fun l => total k (order M (i + l))).
Lemma sum_from_S i n k : sum_from i (S n) k = (total k (order M i) + sum_from (S i) n k)%R.
Proof.
  unfold sum_from. induction n; [cbn; rewrite Nat.add_0_r; ring|]. change (rsum (S (S n)) (fun l => total k (order M (i + l))))
    with
    (rsum (S n) (fun l => total k (order M (i + l))) + total k (order M (i + S n)))%R. rewrite IHn. cbn [rsum].
  replace (i + S n)%nat with (S i + n)%nat by lia. ring.
Qed.
Lemma inside_add n a b f g : inside p n a f -> inside p n b g -> inside p n (add_boxes n a b) (fun k => f k + g k)%R.
Proof. intros F G k Hk. specialize (F k Hk). specialize (G k Hk). unfold add_boxes. rewrite memo1_eq. cbn [fst snd].
rewrite !plus_IZR. lra. Qed.
Lemma inside_contained n a b f : contained n a b = true -> inside p n a f -> inside p n b f.
Proof.
  intros C F k Hk. specialize (F k Hk). unfold contained in C. rewrite forallb_forall in C.
  specialize (C k ltac:(apply in_seq; lia)).
  apply andb_prop in C as [C1 C2]. apply Z.leb_le, IZR_le in C1, C2. lra.
Qed.
Lemma inside_sum n a b c f g : sum_contained n a b c = true -> inside p n a f -> inside p n b g -> inside p n c (fun k => f k +
  g
  k)%R.
Proof.
  intros C F G k Hk. specialize (F k Hk). specialize (G k Hk). induction n as [|n IH]; [lia|]. cbn [sum_contained] in C.
  destruct (Nat.eq_dec k n) as [->|N].
  - destruct (a n), (b n), (c n). cbn [fst snd] in *. apply andb_prop in C as [C _]. apply andb_prop in C as [C1 C2].
    apply Z.leb_le, IZR_le in C1, C2. rewrite plus_IZR in C1, C2. lra.
  - apply IH; [|lia]. destruct (a n), (b n), (c n). now apply andb_prop in C as [_ C].
Qed.
Lemma inside_hull n found b f : In b found -> inside p n b f -> inside p n (hull_all n found) f.
Proof.
  induction found as [|a [|c l] IH]; intros I F; [destruct I|destruct I as [->|[]]; exact F|].
  change (hull_all n (a :: c :: l)) with (hull_of n a (hull_all n (c :: l))). intros k Hk. unfold hull_of. rewrite memo1_eq.
  cbn [fst snd].
  assert (L : (forall u v, IZR (Z.min u v) <= IZR u /\ IZR (Z.min u v) <= IZR v)%R) by (intros; split; apply IZR_le; lia).
  assert (U : (forall u v, IZR u <= IZR (Z.max u v) /\ IZR v <= IZR (Z.max u v))%R) by (intros; split; apply IZR_le; lia).
  destruct I as [->|I].
  - specialize (F k Hk). destruct (L (fst (b k)) (fst (hull_all n (c :: l) k))).
    destruct (U (snd (b k)) (snd (hull_all n (c :: l) k))). lra.
  - specialize (IH I F k Hk). destruct (L (fst (a k)) (fst (hull_all n (c :: l) k))).
    destruct (U (snd (a k)) (snd (hull_all n (c :: l) k))). lra.
Qed.

Lemma accepted_ok q n : forall i s f, (n + i = K)%nat -> reads_on i f -> accepted q n i s f = true -> state_after M x i = Some
  s ->
  (forall l, (i < l <= K)%nat -> alive l) /\ (forall l, (i <= l < K)%nat -> order M l = position -> sym position = q) /\
  (forall l, (i <= l < K)%nat -> exists b, term q (sym (order M l)) (order M l) = Some b) /\
  (lives -> sym position = q -> inside p W (snd (going_on q n i s)) (sum_from i n)).
Proof.
  induction n as [|n IH]; intros i s f E R Ac S.
  - split; [lia|split; [lia|split; [lia|]]]. intros _ _ k _. cbn [going_on snd zero_box fst sum_from rsum]. unfold sum_from.
    cbn. lra.
  - cbn [accepted] in Ac. destruct f as [|t f]; [discriminate|]. destruct (reads_on_cons i t f R) as (Li & Ht & Tv & R').
    destruct (step q i s t) as [[s' b]|] eqn:St; [|discriminate]. destruct (step_ok q i s t s' b Li St Ht S) as (S' & D & Q & Te).
    destruct (IH (Datatypes.S i) s' f ltac:(lia) R' Ac S') as (Al & Qs & Ts & In0). split; [|split; [|split]].
    + intros l Hl. destruct (Nat.eq_dec l (Datatypes.S i)) as [->|]; [exists s'; auto|apply Al; lia].
    + intros l Hl Ol. destruct (Nat.eq_dec l i) as [->|]; [auto|apply (Qs l); auto; lia].
    + intros l Hl. destruct (Nat.eq_dec l i) as [->|]; [eauto|apply Ts; lia].
    + intros Lv Eq. specialize (In0 Lv Eq). cbn [going_on]. rewrite memo1_eq. cbn [snd].
      destruct (silent i) eqn:Sil.
      { unfold silent in Sil. rewrite forallb_forall in Sil. intros k _. unfold sum_from.
        rewrite (rsum_ext (Datatypes.S n) _ (fun _ => 0%R)); [rewrite rsum_0; cbn; lra|]. intros l Hl. apply Unseen, Sil,
          in_seq.
        lia. }
      assert (C := going_on_cnt q n (Datatypes.S i) s'). set (next := going_on q n (Datatypes.S i)) in *.
      apply inside_hull with (b := add_boxes W b (snd (next s'))).
      * apply in_flat_map. exists t. split.
        -- apply in_seq. lia.
        -- rewrite St. destruct (next s') as [ways rest] eqn:Nx. cbn [fst snd] in *. assert (Pos : 0 < ways).
           { rewrite C. apply (cnt_exists V n _ f); auto; [destruct R' as [L' _]; lia|apply R']. }
           rewrite (proj2 (Z.ltb_lt 0 ways) Pos). now left.
      * assert (Tm := Term (order M i) b Lv (Order i Li)). rewrite Eq in Tm. specialize (Tm Te).
        intros k Hk. rewrite sum_from_S. exact (inside_add W b (snd (next s')) (fun k => total k (order M i)) (sum_from
          (Datatypes.S i) n) Tm In0 k Hk).
Qed.

Lemma follows_ok n : forall i u f, (n + i = steps)%nat -> (steps <= K)%nat -> reads_on i f -> follows n i u f = true ->
  state_after M x i = Some (label i u) ->
  exists v, state_after M x steps = Some (label steps v) /\ owner steps v = owner i u /\
    region_proved (owner i u) v (snd (going_on (owner i u) (K - steps) steps (label steps v))) = true /\
    (forall l, (i < l <= K)%nat -> alive l) /\ (forall l, (i <= l < K)%nat -> order M l = position -> sym position = owner i u)
      /\
    (forall l, (i <= l < K)%nat -> exists b, term (owner i u) (sym (order M l)) (order M l) = Some b) /\
    (lives -> sym position = owner i u -> forall g, inside p W (bounds i u) g ->
      inside p W (bounds steps v) (fun k => g k + sum_from i n k)%R /\
      inside p W (snd (going_on (owner i u) (K - steps) steps (label steps v))) (sum_from steps (K - steps))).
Proof.
  induction n as [|n IH]; intros i u f E Le R Fo S.
  - cbn [follows] in Fo. cbv zeta in Fo. replace i with steps in * by lia. apply andb_prop in Fo as [Rp Ac].
    destruct (accepted_ok (owner steps u) (K - steps) steps (label steps u) f ltac:(lia) R Ac S) as (Al & Qs & Ts & Sm).
    exists u. refine (conj S (conj eq_refl (conj Rp (conj Al (conj Qs (conj Ts _)))))). intros Lv Eq g G. split; [|exact (Sm Lv Eq)].
    intros k Hk. specialize (G k Hk). unfold sum_from. cbn [rsum]. rewrite Rplus_0_r. exact G.
  - cbn [follows] in Fo. destruct f as [|t f]; [discriminate|]. destruct (reads_on_cons i t f R) as (Li & Ht & Tv & R').
    destruct (edge i u t) as [u'|] eqn:Ed; [|discriminate]. unfold edge in Ed. destruct (finer i u t) as [w|]; [|discriminate].
    destruct (step (owner i u) i (label i u) t) as [[s' b]|] eqn:St; [|discriminate].
    destruct ((s' =? label (Datatypes.S i) w)%nat && (owner (Datatypes.S i) w =? owner i u)%nat && sum_contained W (bounds i u)
      b (bounds
      (Datatypes.S i) w)) eqn:C; [|discriminate].
    injection Ed as ->. apply andb_prop in C as [C In0]. apply andb_prop in C as [C1 C2]. apply Nat.eqb_eq in C1, C2. subst s'.
    destruct (step_ok _ i _ t _ b Li St Ht S) as (S' & D & Q & Te).
    destruct (IH (Datatypes.S i) u' f ltac:(lia) Le R' Fo S') as (v & Sv & Ov & Rp & Al & Qs & Ts & Sm). rewrite C2 in *.
    exists v. refine (conj Sv (conj Ov (conj Rp (conj _ (conj _ (conj _ _)))))).
    + intros l Hl. destruct (Nat.eq_dec l (Datatypes.S i)) as [->|]; [eexists; eauto|apply Al; lia].
    + intros l Hl Ol. destruct (Nat.eq_dec l i) as [->|]; [auto|apply (Qs l); auto; lia].
    + intros l Hl. destruct (Nat.eq_dec l i) as [->|]; [eauto|apply Ts; lia].
    + intros Lv Eq g Gg. assert (Tm := Term (order M i) b Lv (Order i Li)). rewrite Eq in Tm. specialize (Tm Te).
      assert (G : inside p W (bounds (Datatypes.S i) u') (fun k => g k + total k (order M i))%R).
      { now apply (inside_sum W _ _ _ _ _ In0). }
      destruct (Sm Lv Eq (fun k => g k + total k (order M i))%R G) as [Sm1 Sm2]. split; auto. intros k Hk. specialize (Sm1 k Hk).
      cbn beta in Sm1.
      rewrite sum_from_S, <- Rplus_assoc. exact Sm1.
Qed.

(* What a run says of outputs. *)
Lemma outputs_exist : forall l r, (forall i, (i < length l)%nat -> exists s o, state_after M x (snd (nth i l (O, O))) = Some s
  /\ output M (r + i) s = Some o) ->
  exists found, outputs_from M x r l = Some found /\ forall i s o, (i < length l)%nat -> state_after M x (snd (nth i l (O, O)))
    = Some s -> output M (r + i) s = Some o ->
    nth_error found i = Some (fst (nth i l (O, O)), o).
Proof.
  induction l as [|[a b] l IH]; intros r H; cbn [outputs_from].
  - exists []. split; auto. intros i s o Hi. cbn in Hi. lia.
  - destruct (H O ltac:(cbn; lia)) as (s & o & S & Ou). cbn [nth snd] in S. rewrite Nat.add_0_r in Ou. rewrite S, Ou.
    destruct (IH (Datatypes.S r)) as (found & F & N).
    { intros i Hi. destruct (H (Datatypes.S i) ltac:(cbn [length]; lia)) as (s1 & o1 & S1 & O1). cbn [nth] in S1.
      exists s1, o1. split; auto.
      now replace (Datatypes.S r + i)%nat with (r + Datatypes.S i)%nat by lia. }
    rewrite F. eexists. split; [reflexivity|]. intros [|i] s1 o1 Hi S1 O1; cbn [nth nth_error fst snd] in *.
    + rewrite Nat.add_0_r in O1. congruence.
    + cbn in Hi. apply (N i s1 o1); auto; [lia|]. now replace (Datatypes.S r + i)%nat with (r + Datatypes.S i)%nat by lia.
Qed.
Hypothesis Reads : forallb (fun rd => (1 <=? snd rd)%nat && (snd rd <=? K)%nat) (reads M) = true.
Lemma reads_within i : (i < length (reads M))%nat -> (1 <= snd (nth i (reads M) (O, O)) <= K)%nat.
Proof.
  intros L. rewrite forallb_forall in Reads. specialize (Reads _ (nth_In (reads M) (O, O) L)).
  apply andb_prop in Reads as [A1 A2].
  apply Nat.leb_le in A1, A2. lia.
Qed.
Lemma alive_all_runs : (0 < K)%nat -> (forall l, (0 < l <= K)%nat -> alive l) ->
  exists found, run M x K = Some found /\ forall i s o, (i < length (reads M))%nat -> state_after M x (snd (nth i (reads M) (O,
    O))) = Some s ->
    output M i s = Some o -> nth_error found i = Some (fst (nth i (reads M) (O, O)), o).
Proof.
  intros Kp Al. unfold run. destruct (Al K ltac:(lia)) as (s & -> & _). destruct (outputs_exist (reads M) O) as (found & F & N).
  - intros i Hi. destruct (reads_within i Hi) as [L1 L2]. destruct (Al (snd (nth i (reads M) (O, O))) ltac:(lia)) as (s1 & S1 &
    D). cbn [Nat.add].
    assert (N0 := proj1 (due_iff _ s1) D i Hi eq_refl). destruct (output M i s1) as [o|] eqn:Ou; [|easy]. eauto.
  - eauto.
Qed.
End Input.
End Regions.
