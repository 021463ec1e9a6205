(* A hidden layer on two inputs as tables of integers (rule hidden-tables, FORMAT.md 5.8), and pairs evaluated one by one
   (5.9). *)
From Coq Require Import ZArith Lia List Arith Bool.
From CompactProofs Require Import Counting PrefixChains ListSums Packing.
Import ListNotations.
Open Scope Z_scope.

(* A positive multiple of the logits is  sum over neurons of relu (left + right + shift) unembed + direct (of both inputs) +
   constant; what it must differ by is `need`. Elements below n, outputs below O. *)
Record hidden := Hidden { left : nat -> nat -> Z; right : nat -> nat -> Z; shift : nat -> Z; unembed : nat -> nat -> Z;
  direct : option (nat -> nat -> Z); constant : nat -> Z; need : Z }.

Section Layer.
Variables (n m O : nat) (T : hidden) (table : nat -> nat -> nat).
Definition directly (a z : nat) : Z := match direct T with None => 0 | Some f => f a z end.
Definition active (a b i : nat) : Z := Z.max 0 (left T a i + shift T i + right T b i).
Definition rest (a b z : nat) : Z := directly a z + directly b z + constant T z.
Definition value (a b z : nat) : Z := lsum (seq 0 m) (fun i => active a b i * unembed T i z) + rest a b z.
(* The statement about a pair, in integers. *)
Definition leads (a b : nat) : Prop := forall z, (z < O)%nat -> z <> table a b -> need T < value a b (table a b) - value a b z.

(* Greatest less least; and the most that some neurons can add to a difference. *)
Definition range (f : nat -> Z) : Z := zmax O f - zmin O f.
Definition most (i : nat) : Z := Z.max 0 (zmax n (fun a => left T a i) + shift T i + zmax n (fun b => right T b i)).
Definition reach (l : list nat) : Z := lsum l (fun i => most i * range (unembed T i)).

Lemma range_le f y z : (y < O)%nat -> (z < O)%nat -> f y - f z <= range f.
Proof. intros Y Z. assert (A := zmax_ge O f y Y). assert (B := zmin_le O f z Z). unfold range. lia. Qed.
Lemma active_nonneg a b i : 0 <= active a b i.
Proof. unfold active. lia. Qed.
Lemma active_most a b i : (a < n)%nat -> (b < n)%nat -> active a b i <= most i.
Proof.
  intros A B. unfold active, most. assert (X := zmax_ge n (fun a => left T a i) a A).
  assert (Y := zmax_ge n (fun b => right T b i) b B).
  cbn beta in X, Y. lia.
Qed.
Lemma reach_ge l a b y z : (a < n)%nat -> (b < n)%nat -> (y < O)%nat -> (z < O)%nat ->
  lsum l (fun i => active a b i * (unembed T i y - unembed T i z)) <= reach l.
Proof.
  intros A B Y Z. apply lsum_le; intros i _. assert (R := range_le (unembed T i) y z Y Z).
  assert (R' := range_le (unembed T i) y y Y Y).
  assert (N := active_nonneg a b i). assert (M := active_most a b i A B). nia.
Qed.

(* Only some neurons are looked at; the others are bounded. *)
Variable chosen : nat -> bool.
Definition some : list nat := filter chosen (seq 0 m).
Definition others : list nat := filter (fun i => negb (chosen i)) (seq 0 m).
Definition allowed : Z := need T + reach others.
Lemma some_suffice a b y z : (a < n)%nat -> (b < n)%nat -> (y < O)%nat -> (z < O)%nat ->
  allowed < lsum some (fun i => active a b i * (unembed T i y - unembed T i z)) + (rest a b y - rest a b z) ->
  need T < value a b y - value a b z.
Proof.
  intros A B Y Z. unfold allowed, value. rewrite !(lsum_split chosen (seq 0 m)). fold some others.
  assert (R := reach_ge others a b z y A B Z Y). assert (D : forall l,
    lsum l (fun i => active a b i * (unembed T i y - unembed T i z)) =
    lsum l (fun i => active a b i * unembed T i y) - lsum l (fun i => active a b i * unembed T i z)).
  { intros l. rewrite <- lsum_minus. apply lsum_ext; intros; lia. }
  rewrite D. assert (E : lsum others (fun i => active a b i * (unembed T i z - unembed T i y)) =
    lsum others (fun i => active a b i * unembed T i z) - lsum others (fun i => active a b i * unembed T i y)).
  { rewrite <- lsum_minus. apply lsum_ext; intros; lia. }
  lia.
Qed.

(* Pairs one by one: the outputs are digits of one integer, each less the least of its row. *)
Definition raised (f : nat -> Z) (z : nat) : Z := f z - zmin O f.
Definition total (l : list nat) (weight : nat -> Z) (units : nat -> Z) : Z :=
  fold_left (fun sum i => let x := weight i in if x =? 0 then sum else sum + x * units i) l 0.
Definition widest_direct : Z := match direct T with None => 0 | Some f => zmax n (fun a => range (f a)) end.
Definition evaluated : nat -> nat -> bool :=
  let bound := reach some + 2 * widest_direct + range (constant T) in
  let w := Z.log2 bound + 1 in
  let mask := Z.ones w in
  let limit := allowed in
  let shifted := memo2 n m (fun a i => left T a i + shift T i) in
  let rows := memo1 m (fun i => pack w O (raised (unembed T i))) in
  let always := pack w O (raised (constant T)) in
  let by_input := match direct T with None => fun _ => 0 | Some f => memo1 n (fun a => pack w O (raised (f a))) end in
  fun a b =>
    let sum := total some (fun i => Z.max 0 (shifted a i + right T b i)) rows + by_input a + by_input b + always in
    (0 <? bound) && below w mask O 0 (table a b) (digit w mask (table a b) sum - limit) sum.

Lemma total_sum l weight units : total l weight units = lsum l (fun i => weight i * units i).
Proof.
  unfold total. assert (G : forall s, fold_left (fun sum i => let x := weight i in if x =? 0 then sum
    else sum + x * units i) l s =
    s + lsum l (fun i => weight i * units i)).
  { induction l as [|i l IH]; intros s; cbn; [lia|]. rewrite IH. cbn zeta. destruct (Z.eqb_spec (weight i) 0) as [E|]; lia. }
  apply G.
Qed.
Lemma pack_lsum w l (f : nat -> nat -> Z) : 0 <= w -> pack w O (fun z => lsum l (fun i => f i z)) = lsum l (fun i => pack w O
  (f i)).
Proof. intros W. induction l as [|i l IH]; cbn; [apply pack_0; auto|]. rewrite <- IH. apply pack_plus; auto. Qed.
Lemma raised_range f z : (z < O)%nat -> 0 <= raised f z <= range f.
Proof. intros L. assert (A := zmin_le O f z L). assert (B := zmax_ge O f z L). unfold raised, range. lia. Qed.

Theorem evaluated_sound a b : (a < n)%nat -> (b < n)%nat -> (table a b < O)%nat -> evaluated a b = true -> leads a b.
Proof.
  intros A B C. unfold evaluated. set (bound := reach some + 2 * widest_direct + range (constant T)).
  set (w := Z.log2 bound + 1).
  cbv zeta. set (by_input := match direct T with None => _ | Some _ => _ end).
  match goal with |- context [digit w _ _ ?s] => set (sum := s) end.
  intros E. apply andb_prop in E as [P E]. apply Z.ltb_lt in P. assert (W : 0 <= w) by (assert (X := Z.log2_nonneg bound); lia).
  set (tail z := raised (fun z => match direct T with None => 0 | Some f => f a z end) z + raised
    (fun z => match direct T with None => 0 | Some f => f b z end) z
                 + raised (constant T) z).
  set (f z := lsum some (fun i => active a b i * raised (unembed T i) z) + tail z).
  assert (F : sum = pack w O f).
  { unfold sum, f, tail. rewrite total_sum. rewrite !pack_plus by auto.
    rewrite (pack_lsum w some (fun i z => active a b i * raised (unembed T i) z)) by auto.
    rewrite <- !Z.add_assoc. f_equal; [|f_equal; [|f_equal]].
    - apply lsum_ext; intros i _. rewrite pack_scal, memo1_eq, memo2_eq by auto. reflexivity.
    - unfold by_input, raised. destruct (direct T); [now rewrite memo1_eq|]. symmetry.
      rewrite (pack_ext w W O _ (fun _ => 0)); [now apply pack_0|].
      intros z Hz. assert (N : forall k, zmin k (fun _ => 0) = 0) by (induction k; cbn; lia). rewrite N. lia.
    - unfold by_input, raised. destruct (direct T); [now rewrite memo1_eq|]. symmetry.
      rewrite (pack_ext w W O _ (fun _ => 0)); [now apply pack_0|].
      intros z Hz. assert (N : forall k, zmin k (fun _ => 0) = 0) by (induction k; cbn; lia). rewrite N. lia. }
  assert (D : digits w O f).
  { intros z Hz. assert (U : bound < 2 ^ w) by (unfold w; apply Z.log2_spec; lia).
    assert (L : forall i, 0 <= active a b i * raised (unembed T i) z <= most i * range (unembed T i)).
    { intros i. assert (X := raised_range (unembed T i) z Hz). assert (Y := active_nonneg a b i).
      assert (V := active_most a b i A B). nia. }
    assert (K := raised_range (constant T) z Hz).
    assert (Q : forall c, (c < n)%nat -> 0 <= raised (fun z => match direct T with None => 0 | Some f => f c z end) z <=
      widest_direct).
    { intros c Hc. unfold widest_direct. destruct (direct T) as [g|].
      - assert (X := raised_range (g c) z Hz). assert (Y := zmax_ge n (fun a => range (g a)) c Hc). cbn beta in Y.
        change (0 <= raised (g c) z <= zmax n (fun a => range (g a))). lia.
      - unfold raised. assert (N : forall k, zmin k (fun _ => 0) = 0) by (induction k; cbn; lia). rewrite N. lia. }
    assert (Qa := Q a A). assert (Qb := Q b B). unfold f, tail.
    assert (0 <= lsum some (fun i => active a b i * raised (unembed T i) z)) by (apply lsum_nonneg; intros i _; apply L).
    assert (lsum some (fun i => active a b i * raised (unembed T i) z) <= reach some) by (apply lsum_le; intros i _; apply L).
    unfold bound in U. lia. }
  intros z Hz N. apply some_suffice; auto. rewrite F, digit_pack in E by auto.
  apply (below_pack w _ W eq_refl O f 0 _ _ D) with (y := z) in E; auto.
  assert (S : forall y, lsum some (fun i => active a b i * raised (unembed T i) y) =
    lsum some (fun i => active a b i * unembed T i y) - lsum some (fun i => active a b i * zmin O (unembed T i))).
  { intros y. rewrite <- lsum_minus. apply lsum_ext; intros; unfold raised; lia. }
  unfold f, tail in E. rewrite !S in E. unfold rest, directly.
  rewrite (lsum_ext some _ (fun i => active a b i * unembed T i (table a b) - active a b i * unembed T i z)) by (intros; lia).
  rewrite lsum_minus. unfold raised in E. lia.
Qed.

(* Mirror images, where both inputs are read alike and the task does not tell them apart. *)
Definition symmetric : bool := forallb (fun a => forallb (fun i => left T a i =? right T a i) (seq 0 m)) (seq 0 n).
Lemma mirror a b : symmetric = true -> (a < n)%nat -> (b < n)%nat -> table a b = table b a -> leads a b -> leads b a.
Proof.
  intros S A B E L z Hz N. assert (V : forall y, value b a y = value a b y).
  { intros y. unfold value, rest. f_equal; [|lia]. apply lsum_ext; intros i Hi. f_equal. unfold active. f_equal.
    unfold symmetric in S. rewrite forallb_forall in S. assert (Sa := S a ltac:(apply in_seq; lia)).
    assert (Sb := S b ltac:(apply in_seq; lia)).
    rewrite forallb_forall in Sa, Sb. specialize (Sa i Hi). specialize (Sb i Hi). apply Z.eqb_eq in Sa, Sb. lia. }
  rewrite !V, <- E. apply L; auto. now rewrite E.
Qed.
End Layer.
