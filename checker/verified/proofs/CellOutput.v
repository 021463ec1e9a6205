(* Rule set-output for each pair (FORMAT.md 5.10), without gaps or potentials: what ideal neurons write is summed up exactly,
   cell by cell, for every output. So nothing is asked of the maps of points. *)
From Coq Require Import ZArith Lia List Arith Bool.
From CompactProofs Require Import Counting PrefixChains ListSums HiddenLayer CodedOutput SetOutput.
Import ListNotations.
Open Scope Z_scope.

Section Cells.
Variables (n m O : nat) (T : hidden) (table : nat -> nat -> nat) (chosen : nat -> bool) (s : sets).
Notation U := (HiddenLayer.unembed T).
Notation P := (points s).
Notation l := (some m chosen).

(* Neuron i writes its number on the outputs that map its second point to its first; the rest is bounded. *)
Definition ideally (i z : nat) : Z := if (beta s i =? act s z (gamma s i))%nat then times s i else 0.
Definition besides (i : nat) : Z := range O (fun z => U i z - ideally i z).
Definition at_cell (x y : nat) : list nat := filter (fun i => ((beta s i =? x) && (gamma s i =? y))%nat) l.
Definition by_cells : nat -> nat -> bool :=
  let limit := allowed n m O T chosen + range O (constant T) in
  let shifted := memo2 n m (fun a i => left T a i + shift T i) in
  let loose := memo1 m besides in
  let groups := memo2 P P at_cell in
  let valid := match direct T with None => true | Some _ => false end && forallb (fun i => (gamma s i <? P)%nat) l in
  fun a b =>
    let h := memo1 m (fun i => Z.max 0 (shifted a i + right T b i)) in
    let written := memo2 P P (fun x y => lsum (groups x y) (fun i => times s i * h i)) in
    let found := memo1 O (fun z => zsum P (fun y => written (act s z y) y)) in
    let lead := found (table a b) - limit - lsum l (fun i => h i * loose i) in
    valid && forallb (fun z => (z =? table a b)%nat || (found z <? lead)) (seq 0 O).

Lemma sum_of_cells h z : (forall i, In i l -> (gamma s i < P)%nat) ->
  zsum P (fun y => lsum (at_cell (act s z y) y) (fun i => times s i * h i)) = lsum l (fun i => h i * ideally i z).
Proof.
  intros G. rewrite (buckets Nat.eqb (gamma s) (seq 0 P) l) by (try apply Nat.eqb_eq; try apply seq_NoDup; intros; apply in_seq;
    auto with arith).
  rewrite lsum_seq. apply zsum_ext; intros y _. unfold at_cell. rewrite !lsum_filter. apply lsum_ext; intros i _.
  unfold ideally.
  destruct (Nat.eqb_spec (gamma s i) y) as [->|]; [|now rewrite andb_false_r]. rewrite andb_true_r. destruct (_ =? _)%nat; ring.
Qed.

Theorem by_cells_sound a b : (a < n)%nat -> (b < n)%nat -> (table a b < O)%nat -> by_cells a b = true -> leads m O T table a b.
Proof.
  intros A B C E z Hz N. unfold by_cells in E. cbv zeta in E. rewrite ?memo2_id, ?memo1_id in E. apply andb_prop in E as [V E].
  apply andb_prop in V as [D G]. assert (Direct : forall x y, directly T x y = 0) by (intros; unfold directly;
    now destruct (direct T)).
  rewrite forallb_forall in G, E. specialize (E z ltac:(apply in_seq; lia)).
  apply orb_prop in E as [E|E]; [now apply Nat.eqb_eq in E|].
  apply Z.ltb_lt in E. assert (G' : forall i, In i l -> (gamma s i < P)%nat) by (intros i I; now apply Nat.ltb_lt, G).
  change (fun i => Z.max 0 (left T a i + shift T i + right T b i)) with (active T a b) in E.
  change (lsum l (fun i => Z.max 0 (left T a i + shift T i + right T b i) * besides i)) with (lsum l
    (fun i => active T a b i * besides i)) in E.
  rewrite !(sum_of_cells (active T a b)) in E by auto. set (y := table a b) in *.
  apply (some_suffice n m O T chosen a b y z); auto. unfold rest. rewrite !Direct.
  assert (R := range_le O (constant T) z y Hz C).
  assert (S : lsum l (fun i => active T a b i * ideally i y) - lsum l (fun i => active T a b i * ideally i z)
    - lsum l (fun i => active T a b i * besides i) <= lsum l (fun i => active T a b i * (U i y - U i z))).
  { rewrite <- !lsum_minus. apply lsum_le; intros i _. assert (H := active_nonneg T a b i).
    assert (X := range_le O (fun z => U i z - ideally i z) z y Hz C). fold (besides i) in X. cbn beta in X. nia. }
  lia.
Qed.
End Cells.
