(* Sums of integers over lists. *)
From Coq Require Import ZArith Lia List Arith Bool Permutation.
From CompactProofs Require Import Counting.
Import ListNotations.
Open Scope Z_scope.

Fixpoint lsum {A} (l : list A) (f : A -> Z) : Z := match l with [] => 0 | x :: r => f x + lsum r f end.

Section Sums.
Context {A : Type}.
Implicit Types (l : list A) (f g : A -> Z).
Lemma lsum_ext l f g : (forall x, In x l -> f x = g x) -> lsum l f = lsum l g.
Proof. induction l as [|x l IH]; cbn; intros E; auto. rewrite (E x), IH by auto. reflexivity. Qed.
Lemma lsum_le l f g : (forall x, In x l -> f x <= g x) -> lsum l f <= lsum l g.
Proof. induction l as [|x l IH]; cbn; intros E; [lia|]. assert (f x <= g x) by auto. specialize (IH ltac:(auto)). lia. Qed.
Lemma lsum_nonneg l f : (forall x, In x l -> 0 <= f x) -> 0 <= lsum l f.
Proof. intros E. transitivity (lsum l (fun _ => 0)); [|apply lsum_le; auto]. clear. induction l; cbn; lia. Qed.
Lemma lsum_plus l f g : lsum l (fun x => f x + g x) = lsum l f + lsum l g.
Proof. induction l; cbn; lia. Qed.
Lemma lsum_minus l f g : lsum l (fun x => f x - g x) = lsum l f - lsum l g.
Proof. induction l; cbn; lia. Qed.
Lemma lsum_scal l c f : lsum l (fun x => c * f x) = c * lsum l f.
Proof. induction l; cbn; lia. Qed.
Lemma lsum_zero l : lsum l (fun _ => 0) = 0.
Proof. induction l; cbn; lia. Qed.
Lemma lsum_app l k f : lsum (l ++ k) f = lsum l f + lsum k f.
Proof. induction l; cbn; lia. Qed.
Lemma lsum_permutation l k f : Permutation l k -> lsum l f = lsum k f.
Proof. induction 1; cbn; lia. Qed.
(* Those with a property, and the others. *)
Lemma lsum_split (p : A -> bool) l f : lsum l f = lsum (filter p l) f + lsum (filter (fun x => negb (p x)) l) f.
Proof. induction l as [|x l IH]; cbn; auto. destruct (p x); cbn; lia. Qed.
Lemma lsum_filter (p : A -> bool) l f : lsum (filter p l) f = lsum l (fun x => if p x then f x else 0).
Proof. induction l as [|x l IH]; cbn; auto. destruct (p x); cbn; lia. Qed.
End Sums.

Lemma lsum_map {A B} (h : A -> B) l f : lsum (map h l) f = lsum l (fun x => f (h x)).
Proof. induction l; cbn; auto. now rewrite IHl. Qed.
Lemma lsum_swap {A B} (l : list A) (k : list B) (f : A -> B -> Z) :
  lsum l (fun x => lsum k (f x)) = lsum k (fun y => lsum l (fun x => f x y)).
Proof. induction l as [|x l IH]; cbn; [now rewrite lsum_zero|]. now rewrite IH, <- lsum_plus. Qed.
Lemma lsum_seq n f : lsum (seq 0 n) f = zsum n f.
Proof. induction n; auto. rewrite seq_S, lsum_app, IHn. cbn. lia. Qed.

(* Elements sorted into buckets: each has just one of the keys. *)
Lemma lsum_one {B} (same : B -> B -> bool) (keys : list B) k c : (forall x y,
  same x y = true <-> x = y) -> NoDup keys -> In k keys ->
  lsum keys (fun y => if same k y then c else 0) = c.
Proof.
  intros S. induction 1 as [|y keys N D IH]; intros I; [destruct I|]. cbn. destruct (same k y) eqn:E.
  - apply S in E. subst. rewrite (lsum_ext keys _ (fun _ => 0)), lsum_zero by (intros z Iz; destruct (same y z) eqn:E; auto;
    apply S in E; now subst).
    lia.
  - destruct I as [->|I]; [|rewrite IH; auto; lia]. rewrite (proj2 (S k k) eq_refl) in E. discriminate.
Qed.
Lemma buckets {A B} (same : B -> B -> bool) (key : A -> B) (keys : list B) (l : list A) f :
  (forall x y, same x y = true <-> x = y) -> NoDup keys -> (forall x, In x l -> In (key x) keys) ->
  lsum l f = lsum keys (fun y => lsum (filter (fun x => same (key x) y) l) f).
Proof.
  intros S D I. rewrite (lsum_ext keys _ (fun y => lsum l (fun x => if same (key x) y then f x else 0))) by (intros;
    apply lsum_filter).
  rewrite <- lsum_swap. apply lsum_ext; intros x Hx. symmetry. apply lsum_one; auto.
Qed.
