(* Many small numbers in one large integer, as its digits to the base 2^w: so that they are added, and multiplied by the same
   number, at once. *)
From Coq Require Import ZArith Lia List Arith Bool.
Import ListNotations.
Open Scope Z_scope.

Section Packing.
Variables w mask : Z.
Hypothesis Hw : 0 <= w.
Hypothesis Hmask : mask = Z.ones w.

Fixpoint pack (n : nat) (f : nat -> Z) : Z := match n with O => 0 | S k => f O + Z.shiftl (pack k (fun z => f (S z))) w end.
Definition first_digit (x : Z) : Z := Z.land x mask.
Definition digit (z : nat) (x : Z) : Z := first_digit (Z.shiftr x (Z.of_nat z * w)).
(* All digits but number c are below a bound; z is the number of the first one. *)
Fixpoint below (n z c : nat) (bound x : Z) : bool :=
  match n with O => true | S k => ((z =? c)%nat || (first_digit x <? bound)) && below k (S z) c bound (Z.shiftr x w) end.

Lemma pack_S n f : pack (S n) f = f O + pack n (fun z => f (S z)) * 2 ^ w.
Proof. cbn [pack]. now rewrite Z.shiftl_mul_pow2. Qed.
Lemma pack_ext n : forall f g, (forall z, (z < n)%nat -> f z = g z) -> pack n f = pack n g.
Proof. induction n; intros f g E; auto. rewrite !pack_S, (E 0%nat), (IHn _ (fun z => g (S z))) by (try intros; try apply E;
  lia). reflexivity. Qed.
Lemma pack_plus n : forall f g, pack n (fun z => f z + g z) = pack n f + pack n g.
Proof. induction n; intros f g; auto. rewrite !pack_S, IHn. lia. Qed.
Lemma pack_scal n c : forall f, pack n (fun z => c * f z) = c * pack n f.
Proof. induction n; intros f; [cbn; lia|]. rewrite !pack_S, IHn. lia. Qed.
Lemma pack_0 n : pack n (fun _ => 0) = 0.
Proof. induction n; auto. rewrite pack_S, IHn. lia. Qed.

Definition digits (n : nat) (f : nat -> Z) : Prop := forall z, (z < n)%nat -> 0 <= f z < 2 ^ w.
Lemma shifted n f : digits (S n) f -> Z.shiftr (pack (S n) f) w = pack n (fun z => f (S z)) /\ first_digit (pack (S n) f) = f O.
Proof.
  intros D. specialize (D O ltac:(lia)). unfold first_digit.
  rewrite Hmask, Z.land_ones, pack_S, Z.shiftr_div_pow2, Z.div_add, Z.div_small, Z.mod_add, Z.mod_small by lia. auto.
Qed.
Lemma digit_pack n : forall f z, digits n f -> (z < n)%nat -> digit z (pack n f) = f z.
Proof.
  unfold digit. induction n; intros f z D L; [lia|]. destruct (shifted n f D) as [A B]. destruct z.
  - cbn [Z.of_nat]. now rewrite Z.shiftr_0_r.
  - replace (Z.of_nat (S z) * w) with (w + Z.of_nat z * w) by lia. rewrite <- Z.shiftr_shiftr, A by lia.
    apply (IHn (fun z => f (S z))); [|lia]. intros y Hy. apply D. lia.
Qed.
Lemma below_pack n : forall f z c bound, digits n f -> below n z c bound (pack n f) = true ->
  forall y, (y < n)%nat -> (z + y)%nat <> c -> f y < bound.
Proof.
  induction n; intros f z c bound D B y L N; [lia|]. destruct (shifted n f D) as [S F]. cbn [below] in B. rewrite S, F in B.
  apply andb_prop in B as [B C]. destruct y.
  - apply orb_prop in B as [B|B]; [apply Nat.eqb_eq in B; lia|now apply Z.ltb_lt].
  - refine (IHn (fun z => f (Datatypes.S z)) (Datatypes.S z) c bound _ C y _ _); try lia. intros x Hx. apply D. lia.
Qed.
End Packing.
