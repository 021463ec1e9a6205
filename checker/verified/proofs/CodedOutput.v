(* Rule coded-output with a code (FORMAT.md 5.9): theorem and proof of checker/layers/coded_output.py, in integers. *)
From Coq Require Import ZArith Lia List Arith Bool.
From CompactProofs Require Import Counting PrefixChains ListSums MatrixProduct HiddenLayer.
Import ListNotations.
Open Scope Z_scope.

(* A neuron's code: numbers of its atoms, and how much it has of each, in units of 1 / per_one. What atoms write is in units of
   the table unembed, what they read and what is expected in units of the tables left and right. *)
Record code := Code { per_one : Z; atoms : nat; parts : nat -> list (nat * Z); atom : nat -> nat -> Z; expected : nat -> Z;
  reads_left : nat -> nat -> Z; reads_right : nat -> nat -> Z; digits : Z }.

(* Cauchy and Schwarz. *)
Lemma product_step (p q s a b : Z) : 0 <= p -> 0 <= q -> s * s <= p * q -> (s + a * b) * (s + a * b) <= (p + a * a) *
  (q + b * b).
Proof.
  intros P Q S. set (x := p * (b * b)). set (y := q * (a * a)). enough (2 * (s * (a * b)) <= x + y) by (unfold x, y in *; lia).
  assert (X : 0 <= x) by (apply Z.mul_nonneg_nonneg; [auto|apply Z.square_nonneg]).
  assert (Y : 0 <= y) by (apply Z.mul_nonneg_nonneg; [auto|apply Z.square_nonneg]).
  assert (M : (s * (a * b)) * (s * (a * b)) <= x * y).
  { replace (s * (a * b) * (s * (a * b))) with (s * s * ((a * b) * (a * b))) by ring.
    replace (x * y) with (p * q * ((a * b) * (a * b))) by (unfold x, y; ring).
    apply Z.mul_le_mono_nonneg_r; [apply Z.square_nonneg|auto]. }
  generalize dependent (s * (a * b)). intros t M. assert (D := Z.square_nonneg (x - y)).
  destruct (Z_lt_le_dec (2 * t) 0); [lia|]. apply Z.square_le_simpl_nonneg; nia.
Qed.
Lemma square_sum {A} (l : list A) f : 0 <= lsum l (fun i => f i * f i).
Proof. apply lsum_nonneg; intros; nia. Qed.
Lemma cauchy_schwarz {A} (l : list A) (f g : A -> Z) :
  lsum l (fun i => f i * g i) * lsum l (fun i => f i * g i) <= lsum l (fun i => f i * f i) * lsum l (fun i => g i * g i).
Proof.
  induction l as [|i l IH]; cbn; [lia|]. assert (X := product_step _ _ _ (f i) (g i) (square_sum l f) (square_sum l g) IH). lia.
Qed.

(* As functions. *)

Lemma lsum_flat_map {A B} (h : A -> list B) l f : lsum (flat_map h l) f = lsum l (fun x => lsum (h x) f).
Proof. induction l; cbn; auto. now rewrite lsum_app, IHl. Qed.

Section Coded.
Variables (n m O : nat) (T : hidden) (table : nat -> nat -> nat) (chosen : nat -> bool) (c : code).
Notation q := (per_one c).
Notation l := (some m chosen).
Notation U := (HiddenLayer.unembed T).

(* The neurons of an atom, and how much they have of it. *)
Definition users (k : nat) : list (nat * Z) :=
  flat_map (fun i => map (fun p => (i, snd p)) (filter (fun p => (fst p =? k)%nat) (parts c i))) l.
Definition ideal (i z : nat) : Z := lsum (parts c i) (fun p => snd p * atom c (fst p) z).
Definition missed (i z : nat) : Z := q * U i z - ideal i z.
Definition seen (a b k : nat) : Z := Z.abs (reads_left c a k + reads_right c b k).
Definition size (a b i : nat) : Z := Z.abs (left T a i + shift T i + right T b i).
Definition surprise (a b i : nat) : Z := q * size a b i - lsum (parts c i) (fun p => snd p * seen a b
  (fst p)) - q * expected c i.
Definition well_formed : bool := (0 <? q) && forallb (fun i => forallb (fun p => (fst p <? atoms c)%nat) (parts c i)) l.

Definition coded : nat -> nat -> bool :=
  let formed := well_formed in
  let limit := 2 * q * q * allowed n m O T chosen in
  let miss := memo2 m O missed in
  let having := memo1 (atoms c) users in
  let what := memo2 (atoms c) O (atom c) in
  let writes := block_product (digits c) (atoms c) O what in
  let left_over := memo2 (atoms c) O (fun k z => lsum (having k) (fun p => snd p * miss (fst p) z)) in
  let adds := block_product (digits c) (atoms c) O left_over in
  let by_left := memo2 n O (fun a z => q * q * (lsum l (fun i => (left T a i + shift T i) * U i z) + 2 * directly T a z)) in
  let by_right := memo2 n O (fun b z => q * q * (lsum l (fun i => right T b i * U i z) + 2 * directly T b z)) in
  let always := memo1 O (fun z => q * lsum l (fun i => expected c i * miss i z) + 2 * q * q * constant T z) in
  let apart := memo2 O O (fun y z => lsum l (fun i => (miss i y - miss i z) * (miss i y - miss i z))) in
  fun a b =>
    let large := memo1 m (size a b) in
    let sees := memo1 (atoms c) (seen a b) in
    let coordinate := memo1 (atoms c) (fun k => q * lsum (having k) (fun p => snd p * large (fst p))) in
    let off := lsum l (fun i => let r := q * large i - lsum (parts c i) (fun p => snd p * sees (fst p)) - q * expected c i
      in r * r) in
    let written := writes coordinate in
    let added := adds sees in
    let found := memo1 O (fun z => by_left a z + by_right b z + always z + written z + added z) in
    let lead := found (table a b) - limit in
    formed && forallb (fun z => (z =? table a b)%nat || (let w := lead - found z in (0 <? w)
      && (off * apart (table a b) z <? w * w))) (seq 0 O).

(* Sums over neurons and their atoms are sums over atoms and their neurons. *)
Lemma exchange f h : well_formed = true -> lsum l (fun i => f i * lsum (parts c i) (fun p => snd p * h (fst p))) =
  zsum (atoms c) (fun k => h k * lsum (users k) (fun p => snd p * f (fst p))).
Proof.
  intros W. apply andb_prop in W as [_ W]. rewrite forallb_forall in W. rewrite <- lsum_seq.
  rewrite (lsum_ext (seq 0 (atoms c)) _ (fun k => lsum l (fun i => lsum (filter (fun p => (fst p =? k)%nat) (parts c i))
    (fun p => f i * (snd p * h (fst p)))))).
  - rewrite lsum_swap. apply lsum_ext; intros i I. rewrite <- lsum_scal.
    apply (buckets Nat.eqb fst); [apply Nat.eqb_eq|apply seq_NoDup|]. intros p P. specialize (W i I).
    rewrite forallb_forall in W.
    specialize (W p P). apply Nat.ltb_lt in W. apply in_seq. lia.
  - intros k _. unfold users. rewrite lsum_flat_map, <- lsum_scal. apply lsum_ext; intros i _. rewrite lsum_map, <- lsum_scal.
    apply lsum_ext; intros p P. apply filter_In in P as [_ P]. apply Nat.eqb_eq in P. cbn [fst snd]. rewrite P. ring.
Qed.

Definition shown (a b z : nat) : Z :=
  q * q * (lsum l (fun i => (left T a i + shift T i) * U i z) + 2 * directly T a z)
  + q * q * (lsum l (fun i => right T b i * U i z) + 2 * directly T b z)
  + (q * lsum l (fun i => expected c i * missed i z) + 2 * q * q * constant T z)
  + zsum (atoms c) (fun k => q * lsum (users k) (fun p => snd p * size a b (fst p)) * atom c k z)
  + zsum (atoms c) (fun k => seen a b k * lsum (users k) (fun p => snd p * missed (fst p) z)).
Lemma shown_value a b z : well_formed = true ->
  2 * q * q * (lsum l (fun i => active T a b i * U i z) + rest T a b z) = shown a b z + lsum l
    (fun i => surprise a b i * missed i z).
Proof.
  intros W. unfold shown.
  rewrite (zsum_ext (atoms c) (fun k => q * _ * atom c k z)
    (fun k => q * (atom c k z * lsum (users k) (fun p => snd p * size a b (fst p))))) by (intros; ring).
  rewrite zsum_scal, <- (exchange (size a b) (fun k => atom c k z) W), <- (exchange (fun i => missed i z) (seen a b) W).
  unfold rest. enough (X : 2 * q * q * lsum l (fun i => active T a b i * U i z) =
    q * q * lsum l (fun i => (left T a i + shift T i) * U i z) + q * q * lsum l (fun i => right T b i * U i z)
    + q * lsum l (fun i => expected c i * missed i z) + q * lsum l (fun i => size a b i * lsum (parts c i)
      (fun p => snd p * atom c (fst p) z))
    + lsum l (fun i => missed i z * lsum (parts c i) (fun p => snd p * seen a b (fst p))) + lsum l
      (fun i => surprise a b i * missed i z)) by lia.
  rewrite <- !lsum_scal, <- !lsum_plus. apply lsum_ext; intros i _. fold (ideal i z). unfold surprise.
  assert (A : 2 * active T a b i = left T a i + shift T i + right T b i + size a b i) by (unfold active, size; lia).
  transitivity (q * q * (2 * active T a b i) * U i z); [ring|]. rewrite A. unfold missed. ring.
Qed.

Theorem coded_sound a b : (a < n)%nat -> (b < n)%nat -> (table a b < O)%nat -> coded a b = true -> leads m O T table a b.
Proof.
  intros A B C E. unfold coded in E. cbv zeta in E. rewrite ?memo2_id, ?memo1_id in E. apply andb_prop in E as [W E].
  rewrite forallb_forall in E. intros z Hz N. specialize (E z ltac:(apply in_seq; lia)).
  apply orb_prop in E as [E|E]; [now apply Nat.eqb_eq in E|]. apply andb_prop in E as [P E]. apply Z.ltb_lt in P, E.
  rewrite !block_product_eq in P, E. fold (shown a b (table a b)) (shown a b z) in P, E. set (y := table a b) in *.
  apply (some_suffice n m O T chosen a b y z); auto.
  assert (Q : 0 < q) by (apply andb_prop in W as [W _]; now apply Z.ltb_lt).
  set (w := shown a b y - 2 * q * q * allowed n m O T chosen - shown a b z) in *.
  assert (K := cauchy_schwarz l (surprise a b) (fun i => missed i y - missed i z)).
  set (s := lsum l (fun i => surprise a b i * (missed i y - missed i z))) in *.
  assert (L : - w < s).
  { assert (X : s * s < w * w) by (eapply Z.le_lt_trans; [exact K|exact E]). destruct (Z_lt_le_dec (- w) s); auto. nia. }
  assert (Vy := shown_value a b y W). assert (Vz := shown_value a b z W).
  assert (D : s = lsum l (fun i => surprise a b i * missed i y) - lsum l (fun i => surprise a b i * missed i z)).
  { unfold s. rewrite <- lsum_minus. apply lsum_ext; intros; ring. }
  rewrite (lsum_ext l _ (fun i => active T a b i * U i y - active T a b i * U i z)) by (intros; ring). rewrite lsum_minus.
  apply Z.mul_lt_mono_pos_l with (2 * q * q); [nia|]. unfold w in L. lia.
Qed.
End Coded.
