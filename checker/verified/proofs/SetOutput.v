(* Rule set-output for all pairs at once (FORMAT.md 5.10, 5.11): theorem 1 of checker/layers/set_output.py, and its proof. *)
From Coq Require Import ZArith Lia List Arith Bool Permutation.
From CompactProofs Require Import Counting PrefixChains ListSums Rearrangement HiddenLayer.
Import ListNotations.
Open Scope Z_scope.

(* What a certificate says: maps of points, one for each element; inverses and the unit; the kernel; and of every neuron two
   points, a number in units of the table unembed, and the number of its part. Of each part the points that the first and the
   second point of its neurons may be. *)
Record sets := Sets { points : nat; act : nat -> nat -> nat; inverse : nat -> nat; one : nat; kernel : nat -> nat -> Z;
  beta : nat -> nat; gamma : nat -> nat; times : nat -> Z; part : nat -> nat; how_many : nat;
  firsts : nat -> list nat; seconds : nat -> list nat }.

(* The least and the greatest of a list. *)
Fixpoint least (l : list Z) : Z := match l with [] => 0 | [x] => x | x :: r => Z.min x (least r) end.
Fixpoint greatest (l : list Z) : Z := match l with [] => 0 | [x] => x | x :: r => Z.max x (greatest r) end.
Lemma least_le l x : In x l -> least l <= x.
Proof.
  induction l as [|y [|z r] IH]; intros I; [destruct I|destruct I as [->|[]]; cbn; lia|].
  change (least (y :: z :: r)) with (Z.min y (least (z :: r))).
  destruct I as [->|I]; [lia|]. specialize (IH I). lia.
Qed.
Lemma greatest_ge l x : In x l -> x <= greatest l.
Proof.
  induction l as [|y [|z r] IH]; intros I; [destruct I|destruct I as [->|[]]; cbn; lia|].
  change (greatest (y :: z :: r)) with (Z.max y (greatest (z :: r))). destruct I as [->|I]; [lia|]. specialize (IH I). lia.
Qed.
Fixpoint distinct (l : list nat) : bool := match l with [] => true | x :: r => negb (existsb (Nat.eqb x) r) && distinct r end.
Lemma distinct_NoDup l : distinct l = true -> NoDup l.
Proof.
  induction l as [|x r IH]; cbn; intros D; constructor; apply andb_prop in D as [N D]; auto. intros I. apply negb_true_iff in N.
  rewrite (proj2 (existsb_exists (Nat.eqb x) r)) in N; [discriminate|]. exists x. split; auto. apply Nat.eqb_refl.
Qed.
Lemma NoDup_map_on {A B} (f : A -> B) l : NoDup l -> (forall x y, In x l -> In y l -> f x = f y -> x = y) -> NoDup (map f l).
Proof.
  induction 1 as [|x l N D IH]; cbn; intros I; constructor; [|apply IH; auto]. intros J. apply in_map_iff in J as (y & E & Y).
  rewrite (I x y) in N by auto. easy.
Qed.
Lemma NoDup_app_on {A} (l k : list A) : NoDup l -> NoDup k -> (forall x, In x l -> ~ In x k) -> NoDup (l ++ k).
Proof.
  induction 1 as [|x l N D IH]; cbn; intros K J; auto. constructor; [|apply IH; auto]. rewrite in_app_iff.
  intros [I|I]; [easy|].
  exact (J x (or_introl eq_refl) I).
Qed.
Lemma NoDup_product (X Y : list nat) : NoDup X -> NoDup Y -> NoDup (list_prod X Y).
Proof.
  intros DX DY. induction DX as [|x X N DX IH]; cbn; [constructor|]. apply NoDup_app_on; auto.
  - apply NoDup_map_on; auto. intros ? ? _ _ E. now injection E.
  - intros p I J. apply in_map_iff in I as (y & <- & _). apply in_prod_iff in J as [J _]. easy.
Qed.
(* A one-to-one map of a list into itself only changes the order. *)
Lemma moved {A} (f : A -> A) l : NoDup l -> (forall x y, In x l -> In y l -> f x = f y -> x = y) -> (forall x,
  In x l -> In (f x) l) ->
  Permutation (map f l) l.
Proof.
  intros D I M. apply NoDup_Permutation_bis; [now apply NoDup_map_on|rewrite map_length; lia|].
  intros y J. apply in_map_iff in J as (x & <- & J). auto.
Qed.

(* What a neuron adds, if it is h and not H, and writes t d + v and not t d. *)
Lemma at_most (x y e f : Z) : Z.abs x <= e -> Z.abs y <= f -> - (e * f) <= x * y.
Proof.
  intros X Y. assert (Z.abs (x * y) <= e * f) by (rewrite Z.abs_mul; apply Z.mul_le_mono_nonneg; lia). lia.
Qed.
Lemma neuron_adds (h H t d v e r : Z) : Z.abs (h - H) <= e -> Z.abs v <= r -> 0 <= H ->
  t * H * d - r * H - e * Z.abs t * Z.abs d - e * r <= h * (t * d + v).
Proof.
  intros A B C. assert (X := at_most (h - H) (t * d) e (Z.abs t * Z.abs d) A ltac:(rewrite Z.abs_mul; lia)).
  assert (Y := at_most (h - H) v e r A B). assert (Z := at_most H v H r ltac:(lia) B). lia.
Qed.

Section Sets.
Variables (n m : nat) (T : hidden) (table : nat -> nat -> nat) (chosen : nat -> bool) (s : sets).
Notation U := (HiddenLayer.unembed T).
Notation P := (points s).

Definition place (a b : nat) (q : nat * nat) : nat * nat := (act s (inverse s a) (fst q), act s b (snd q)).
Definition change (g : nat) (q : nat * nat) : Z := kernel s (fst q) (snd q) - kernel s (fst q) (act s g (snd q)).
Definition cell (i : nat) : nat * nat := (beta s i, gamma s i).
Definition same (p q : nat * nat) : bool := ((fst p =? fst q) && (snd p =? snd q))%nat.
Lemma same_iff p q : same p q = true <-> p = q.
Proof.
  unfold same. rewrite andb_true_iff, !Nat.eqb_eq. destruct p, q; cbn. split; [intros [-> ->]; auto|]. intros E.
  now injection E.
Qed.

(* Numbers for the points, near the middle of what neurons read where they are met; how far off they are; what is written
   besides. *)
Definition middle (f : nat -> Z) (where_ : nat -> nat) : nat -> Z :=
  memo1 P (fun x => let l := map f (filter (fun a => (where_ a =? x)%nat) (seq 0 n)) in (greatest l + least l) / 2).
Definition lam_of (i : nat) : nat -> Z := middle (fun a => left T a i + shift T i) (fun a => act s (inverse s a) (beta s i)).
Definition mu_of (i : nat) : nat -> Z := middle (fun b => right T b i) (fun b => act s b (gamma s i)).
Definition wobble (lam mu : nat -> nat -> Z) (i : nat) : Z :=
  zmax n (fun a => Z.abs (left T a i + shift T i - lam i (act s (inverse s a) (beta s i))))
  + zmax n (fun b => Z.abs (right T b i - mu i (act s b (gamma s i)))).
Definition stray (i : nat) (z : nat) : Z := U i z - times s i * kernel s (beta s i) (act s z (gamma s i)).
Definition loose (i : nat) : Z := range n (stray i).

Section Part.
Variables (lam mu : nat -> nat -> Z) (e r : nat -> Z) (members X Y : list nat).
Definition within (q : nat * nat) : list nat := filter (fun i => same (cell i) q) members.
Definition ideal (i : nat) (q : nat * nat) : Z := Z.max 0 (lam i (fst q) + mu i (snd q)).
Definition written (group : list nat) (q : nat * nat) : Z := lsum group (fun i => times s i * ideal i q).
Definition blurred (group : list nat) (q : nat * nat) : Z := lsum group (fun i => r i * ideal i q).
Definition load (group : list nat) : Z := lsum group (fun i => e i * Z.abs (times s i)).
(* The margin of a part, for every element g but the unit. *)
Definition margin_of : nat -> Z :=
  let places := list_prod X Y in
  let groups := map within places in
  let ends := map (fun q => let row := map (fun group => written group q) groups in (q, (least row, greatest row))) places in
  let blur := Z.min (lsum places (fun q => greatest (map (fun group => blurred group q) groups)))
                    (lsum groups (fun group => greatest (map (blurred group) places))) in
  let loads := ascending (map load groups) in
  let fixed := blur + lsum members (fun i => e i * r i) in
  fun g => lsum ends (fun p => let d := change g (fst p) in if 0 <=? d then d * fst (snd p) else d * snd (snd p)) - fixed
           - products loads (ascending (map (fun q => Z.abs (change g q)) places)).

Variables a b g y z : nat.   (* a pair, its output y, another output z *)
Hypothesis Ha : (a < n)%nat.
Hypothesis Hb : (b < n)%nat.
Hypothesis Hy : (y < n)%nat.
Hypothesis Hz : (z < n)%nat.
Hypothesis DX : NoDup X.
Hypothesis DY : NoDup Y.
Hypothesis cX : forall x, In x X -> In (act s (inverse s a) x) X.
Hypothesis cY : forall x, In x Y -> In (act s b x) Y.
Hypothesis iX : forall x x', In x X -> In x' X -> act s (inverse s a) x = act s (inverse s a) x' -> x = x'.
Hypothesis iY : forall x x', In x Y -> In x' Y -> act s b x = act s b x' -> x = x'.
Hypothesis inX : forall i, In i members -> In (beta s i) X.
Hypothesis inY : forall i, In i members -> In (gamma s i) Y.
Hypothesis he : forall i, In i members -> e i = wobble lam mu i.
Hypothesis hr : forall i, In i members -> r i = loose i.
(* The kernel at a neuron's place is that of its points and the output. *)
Hypothesis hK : forall i, In i members -> change g (place a b (cell i)) =
  kernel s (beta s i) (act s y (gamma s i)) - kernel s (beta s i) (act s z (gamma s i)).

Notation places := (list_prod X Y).
Notation at_ := (place a b).
Lemma places_moved : Permutation (map at_ places) places.
Proof.
  apply moved.
  - now apply NoDup_product.
  - intros [x x'] [w w'] I J E. apply in_prod_iff in I as [I I'], J as [J J']. injection E as E E'. f_equal; auto.
  - intros [x x'] I. apply in_prod_iff in I as [I I']. apply in_prod_iff. cbn. auto.
Qed.
Lemma over_places f : lsum places (fun q => f (at_ q)) = lsum places f.
Proof. rewrite <- lsum_map. apply lsum_permutation, places_moved. Qed.

Lemma off i : In i members -> Z.abs (active T a b i - ideal i (at_ (cell i))) <= e i.
Proof.
  intros I. rewrite he by auto. unfold wobble, ideal, active, place, cell. cbn [fst snd].
  assert (A := zmax_ge n (fun a => Z.abs (left T a i + shift T i - lam i (act s (inverse s a) (beta s i)))) a Ha).
  assert (B := zmax_ge n (fun b => Z.abs (right T b i - mu i (act s b (gamma s i)))) b Hb). cbn beta in A, B. lia.
Qed.
Lemma adds i : In i members -> let q := at_ (cell i) in
  times s i * ideal i q * change g q - r i * ideal i q - e i * Z.abs (times s i) * Z.abs (change g q) - e i * r i
  <= active T a b i * (U i y - U i z).
Proof.
  intros I q. replace (U i y - U i z) with (times s i * change g q + (stray i y - stray i z)) by (unfold q; rewrite hK by auto;
    unfold stray; ring).
  apply neuron_adds; [now apply off| |unfold ideal; lia]. rewrite hr by auto. unfold loose.
  assert (A := range_le n (stray i) y z Hy Hz). assert (B := range_le n (stray i) z y Hz Hy). lia.
Qed.

Theorem margin_le : margin_of g <= lsum members (fun i => active T a b i * (U i y - U i z)).
Proof.
  transitivity (lsum members (fun i => let q := at_ (cell i) in times s i * ideal i q * change g q - r i * ideal i q
    - e i * Z.abs (times s i) * Z.abs (change g q) - e i * r i)); [|apply lsum_le; apply adds].
  cbv zeta. rewrite lsum_minus.
  rewrite (buckets same cell places members) by (try apply same_iff; try (now apply NoDup_product); intros; apply in_prod_iff;
    auto).
  rewrite (lsum_ext places _ (fun q => change g (at_ q) * written (within q) (at_ q) - blurred (within q) (at_ q)
    - load (within q) * Z.abs (change g (at_ q)))).
  2:{ intros q _. unfold written, blurred, load, within.
  rewrite <- lsum_scal, (Z.mul_comm (lsum _ _)), <- lsum_scal, <- !lsum_minus.
      apply lsum_ext; intros i I. apply filter_In in I as [_ I]. apply same_iff in I. rewrite I. ring. }
  rewrite !lsum_minus. unfold margin_of. cbv zeta.
  assert (A : lsum (map (fun q => (q, (least (map (fun group => written group q) (map within places)),
      greatest (map (fun group => written group q) (map within places))))) places)
      (fun p => if 0 <=? change g (fst p) then change g (fst p) * fst (snd p) else change g (fst p) * snd (snd p))
    <= lsum places (fun q => change g (at_ q) * written (within q) (at_ q))).
  { rewrite lsum_map. cbn [fst snd]. rewrite <- over_places. apply lsum_le; intros q I. set (p := at_ q).
    assert (J : In (written (within q) p) (map (fun group => written group p) (map within places)))
      by (apply (in_map (fun group => written group p)), in_map; auto).
    assert (L := least_le _ _ J). assert (G := greatest_ge _ _ J). destruct (Z.leb_spec 0 (change g p)); nia. }
  assert (B1 : lsum places (fun q => blurred (within q) (at_ q)) <= lsum places (fun q => greatest (map
    (fun group => blurred group q) (map within places)))).
  { rewrite <- (over_places (fun q => greatest (map (fun group => blurred group q) (map within places)))).
    apply lsum_le; intros q I.
    apply greatest_ge. apply (in_map (fun group => blurred group (at_ q))), in_map; auto. }
  assert (B2 : lsum places (fun q => blurred (within q) (at_ q)) <= lsum (map within places) (fun group => greatest (map
    (blurred group) places))).
  { rewrite lsum_map. apply lsum_le; intros q I. apply greatest_ge, in_map. apply (Permutation_in _ places_moved), in_map; auto.
    }
  assert (C := rearrangement places (fun q => load (within q)) (fun q => Z.abs (change g (at_ q)))). cbn beta in C.
  assert (E : ascending (map (fun q => Z.abs (change g (at_ q))) places) = ascending (map (fun q => Z.abs
    (change g q)) places)).
  { apply ascending_unique. rewrite <- (map_map at_ (fun q => Z.abs (change g q))). apply Permutation_map, places_moved. }
  rewrite E, <- (map_map within load) in C. lia.
Qed.
End Part.

(* --- All parts together. What is asked of the maps of points: that they go together as the elements do, and do not change the
   kernel. *)
Definition each (k : nat) (f : nat -> bool) : bool := forallb f (seq 0 k).
Lemma each_in k f i : each k f = true -> (i < k)%nat -> f i = true.
Proof. unfold each. rewrite forallb_forall. intros A L. apply A, in_seq. lia. Qed.
Definition mem (x : nat) (l : list nat) : bool := existsb (Nat.eqb x) l.
Lemma mem_in x l : mem x l = true -> In x l.
Proof. unfold mem. rewrite existsb_exists. intros (y & I & E). apply Nat.eqb_eq in E. now subst. Qed.
Definition acts : bool :=
  each n (fun a =>
    (inverse s a <? n)%nat
    && each P (fun x => (act s a x <? P)%nat && (act s a (act s (inverse s a) x) =? x)%nat
      && (act s (inverse s a) (act s a x) =? x)%nat
                        && each P (fun y => kernel s (act s a x) (act s a y) =? kernel s x y))
    && each n (fun b => (table a b <? n)%nat && (table a (table (inverse s a) b) =? b)%nat
      && (table (table a (inverse s b)) b =? a)%nat
                        && each P (fun x => (act s (table a b) x =? act s a (act s b x))%nat)))
  && each n (fun b => (table (one s) b =? b)%nat).
(* The points of a part are different, and no element moves one to others. *)
Definition closed (X : list nat) : bool := distinct X && forallb (fun x => (x <? P)%nat
  && each n (fun g => mem (act s g x) X)) X.
Definition sorted_out : bool :=
  each (how_many s) (fun p => closed (firsts s p) && closed (seconds s p))
  && forallb (fun i => (part s i <? how_many s)%nat && mem (beta s i) (firsts s (part s i))
    && mem (gamma s i) (seconds s (part s i))) (some m chosen).
Definition members_of (p : nat) : list nat := filter (fun i => (part s i =? p)%nat) (some m chosen).
Definition all_lead : bool :=
  let lam := memo1 m lam_of in
  let mu := memo1 m mu_of in
  let e := memo1 m (wobble lam mu) in
  let r := memo1 m loose in
  let margins := map (fun p => margin_of lam mu e r (members_of p) (firsts s p) (seconds s p)) (seq 0 (how_many s)) in
  let limit := allowed n m n T chosen + range n (constant T) in
  match direct T with Some _ => false | None => true end && acts && sorted_out
  && each n (fun g => (g =? one s)%nat || (limit <? lsum margins (fun f => f g))).

Section Pair.
Hypothesis Acts : acts = true.
Lemma of_element a : (a < n)%nat -> (inverse s a < n)%nat /\ table (one s) a = a.
Proof.
  intros A. apply andb_prop in Acts as [X Y]. assert (X' := each_in _ _ a X A). assert (Y' := each_in _ _ a Y A).
  cbn beta in X', Y'.
  apply andb_prop in X' as [X' _]. apply andb_prop in X' as [X' _]. now apply Nat.ltb_lt in X'; apply Nat.eqb_eq in Y'.
Qed.
Lemma of_point a x : (a < n)%nat -> (x < P)%nat ->
  (act s a x < P)%nat /\ act s a (act s (inverse s a) x) = x /\ act s (inverse s a) (act s a x) = x.
Proof.
  intros A Hx. apply andb_prop in Acts as [X _]. assert (X' := each_in _ _ a X A). cbn beta in X'.
  apply andb_prop in X' as [X' _].
  apply andb_prop in X' as [_ X']. assert (Q := each_in _ _ x X' Hx). cbn beta in Q. apply andb_prop in Q as [Q _].
  apply andb_prop in Q as [Q E].
  apply andb_prop in Q as [Q D]. apply Nat.ltb_lt in Q. apply Nat.eqb_eq in D, E. auto.
Qed.
Lemma of_kernel a x y : (a < n)%nat -> (x < P)%nat -> (y < P)%nat -> kernel s (act s a x) (act s a y) = kernel s x y.
Proof.
  intros A Hx Hy. apply andb_prop in Acts as [X _]. assert (X' := each_in _ _ a X A). cbn beta in X'.
  apply andb_prop in X' as [X' _].
  apply andb_prop in X' as [_ X']. assert (Q := each_in _ _ x X' Hx). cbn beta in Q. apply andb_prop in Q as [_ Q].
  assert (K := each_in _ _ y Q Hy). cbn beta in K. now apply Z.eqb_eq.
Qed.
Lemma of_two a b : (a < n)%nat -> (b < n)%nat -> (table a b < n)%nat /\ table a (table (inverse s a) b) = b /\ table (table a
  (inverse s b)) b = a
  /\ forall x, (x < P)%nat -> act s (table a b) x = act s a (act s b x).
Proof.
  intros A B. apply andb_prop in Acts as [X _]. assert (X' := each_in _ _ a X A). cbn beta in X'.
  apply andb_prop in X' as [_ X'].
  assert (Q := each_in _ _ b X' B). cbn beta in Q. apply andb_prop in Q as [Q K]. apply andb_prop in Q as [Q E].
  apply andb_prop in Q as [Q D].
  apply Nat.ltb_lt in Q. apply Nat.eqb_eq in D, E. repeat split; auto. intros x Hx. assert (C := each_in _ _ x K Hx).
  cbn beta in C. now apply Nat.eqb_eq.
Qed.

Variables a b z : nat.
Hypothesis Ha : (a < n)%nat.
Hypothesis Hb : (b < n)%nat.
Hypothesis Hz : (z < n)%nat.
(* The element that the other output stands for. *)
Definition other : nat := table (table (inverse s a) z) (inverse s b).
Lemma other_below : (other < n)%nat.
Proof.
  destruct (of_element a Ha) as [A _], (of_element b Hb) as [B _]. unfold other.
  apply of_two; auto. now apply of_two.
Qed.
Lemma other_not_one : z <> table a b -> other <> one s.
Proof.
  intros N E. apply N. destruct (of_element a Ha) as [A _], (of_element b Hb) as [B Eb].
  destruct (of_two (inverse s a) z A Hz) as (L & _).
  destruct (of_two (table (inverse s a) z) b L Hb) as (_ & _ & R & _). fold other in R. rewrite E, Eb in R.
  destruct (of_two a z Ha Hz) as (_ & Q & _). now rewrite R, Q.
Qed.
Lemma kernel_at x w : (x < P)%nat -> (w < P)%nat ->
  change other (place a b (x, w)) = kernel s x (act s (table a b) w) - kernel s x (act s z w).
Proof.
  intros Hx Hw. unfold change, place. cbn [fst snd]. destruct (of_element a Ha) as [A _], (of_element b Hb) as [B _].
  destruct (of_two (inverse s a) z A Hz) as (L & _). destruct (of_point b w Hb Hw) as (Bw & _ & Cw).
  destruct (of_point z w Hz Hw) as (Zw & _).
  destruct (of_point (inverse s a) x A Hx) as (Ax & _). destruct (of_point a x Ha Hx) as (_ & Dx & _).
  destruct (of_two a b Ha Hb) as (_ & _ & _ & M). destruct (of_two (inverse s a) z A Hz) as (_ & _ & _ & M'). rewrite M by auto.
  assert (G : act s other (act s b w) = act s (inverse s a) (act s z w)).
  { unfold other. destruct (of_two (table (inverse s a) z) (inverse s b) L B) as (_ & _ & _ & M''). rewrite M'' by auto.
    now rewrite Cw, M'. }
  rewrite G. destruct (of_point (inverse s a) (act s z w) A Zw) as (Az & _).
  destruct (of_point a (act s z w) Ha Zw) as (_ & Dz & _).
  rewrite <- (of_kernel a (act s (inverse s a) x) (act s b w)),
    <- (of_kernel a (act s (inverse s a) x) (act s (inverse s a) (act s z w))) by auto.
  now rewrite Dx, Dz.
Qed.
End Pair.

Lemma closed_spec X : closed X = true -> NoDup X /\ forall x, In x X -> (x < P)%nat /\ forall g,
  (g < n)%nat -> In (act s g x) X.
Proof.
  unfold closed. intros C. apply andb_prop in C as [D C]. split; [now apply distinct_NoDup|]. rewrite forallb_forall in C.
  intros x I.
  specialize (C x I). apply andb_prop in C as [C G]. apply Nat.ltb_lt in C. split; auto. intros g Hg. apply mem_in.
  exact (each_in _ _ g G Hg).
Qed.

Theorem all_lead_sound a b : all_lead = true -> (a < n)%nat -> (b < n)%nat -> leads m n T table a b.
Proof.
  intros L Ha Hb z Hz N. unfold all_lead in L. cbv zeta in L. apply andb_prop in L as [L M]. apply andb_prop in L as [L S].
  apply andb_prop in L as [D A]. assert (Direct : forall x y, directly T x y = 0) by (intros; unfold directly;
    now destruct (direct T)).
  assert (M' := each_in _ _ (other a b z) M (other_below A a b z Ha Hb Hz)). cbn beta in M'. apply orb_prop in M' as [M'|M'].
  { apply Nat.eqb_eq in M'. now apply other_not_one in M'. }
  apply Z.ltb_lt in M'. rewrite lsum_map in M'. destruct (of_two A a b Ha Hb) as (Hy & _).
  apply (some_suffice n m n T chosen a b (table a b) z); auto. unfold rest. rewrite !Direct.
  assert (R := range_le n (constant T) z (table a b) Hz Hy). apply andb_prop in S as [Parts Neurons].
  rewrite forallb_forall in Neurons.
  assert (K : forall i, In i (some m chosen) -> (part s i < how_many s)%nat /\ In (beta s i) (firsts s (part s i)) /\ In
    (gamma s i) (seconds s (part s i))).
  { intros i I. specialize (Neurons i I). apply andb_prop in Neurons as [X Y]. apply andb_prop in X as [X X'].
    apply Nat.ltb_lt in X.
    split; auto. split; now apply mem_in. }
  rewrite (buckets Nat.eqb (part s) (seq 0 (how_many s)) (some m chosen))
    by (try apply Nat.eqb_eq; try apply seq_NoDup; intros i I; apply in_seq; destruct (K i I); lia).
  enough (Z.le (lsum (seq 0 (how_many s)) (fun p => margin_of (memo1 m lam_of) (memo1 m mu_of) (memo1 m (wobble (memo1 m lam_of)
    (memo1 m mu_of)))
      (memo1 m loose) (members_of p) (firsts s p) (seconds s p) (other a b z)))
    (lsum (seq 0 (how_many s)) (fun p => lsum (members_of p) (fun i => active T a b i * (U i (table a b) - U i z)))))
      by (unfold members_of in *; lia).
  apply lsum_le. intros p Ip. apply in_seq in Ip. assert (C := each_in _ _ p Parts ltac:(lia)). cbn beta in C.
  apply andb_prop in C as [CX CY].
  apply closed_spec in CX as [DX CX], CY as [DY CY]. destruct (of_element A a Ha) as [Ia _].
  assert (In_part : forall i, In i (members_of p) -> In (beta s i) (firsts s p) /\ In (gamma s i) (seconds s p)).
  { intros i I. apply filter_In in I as [I E]. apply Nat.eqb_eq in E. subst p. now apply K. }
  apply margin_le; auto; try (intros i I; destruct (In_part i I); auto; fail).
  - intros x I. now apply CX.
  - intros x I. now apply CY.
  - intros x x' I I' E. destruct (of_point A a x Ha (proj1 (CX x I))) as (_ & X & _),
    (of_point A a x' Ha (proj1 (CX x' I'))) as (_ & X' & _). congruence.
  - intros x x' I I' E. destruct (of_point A b x Hb (proj1 (CY x I))) as (_ & _ & X),
    (of_point A b x' Hb (proj1 (CY x' I'))) as (_ & _ & X'). congruence.
  - intros i _. apply memo1_eq.
  - intros i _. apply memo1_eq.
  - intros i I. destruct (In_part i I) as [X Y]. apply kernel_at; auto; [now apply CX|now apply CY].
Qed.
End Sets.
