(* Tables of a hidden layer with fewer digits: what leads by these leads by the tables themselves. *)
From Coq Require Import ZArith Lia List Arith Bool.
From CompactProofs Require Import Counting PrefixChains ListSums HiddenLayer.
Import ListNotations.
Open Scope Z_scope.

Section Rounded.
Variables (n m O : nat) (T : hidden) (table : nat -> nat -> nat).
Variables s k : Z.   (* how many bits are left out of what neurons read, and of what they write *)
Notation S := (2 ^ s).
Notation K := (2 ^ k).

(* Every part of what a neuron reads, and of logits, is too small by less than one unit. *)
Definition rounded : hidden :=
  let unembed := memo2 m O (fun i z => Z.shiftr (unembed T i z) k) in
  let lost := zsum m (fun i => most n T i) in
  let blur := zsum m (fun i => range O (unembed i)) in
  Hidden (memo2 n m (fun a i => Z.shiftr (left T a i) s)) (memo2 n m (fun b i => Z.shiftr (right T b i) s))
    (memo1 m (fun i => Z.shiftr (shift T i) s)) unembed
    (match direct T with None => None | Some f => Some (memo2 n O (fun a z => Z.shiftr (f a z) (s + k))) end)
    (memo1 O (fun z => Z.shiftr (constant T z) (s + k))) (Z.shiftr (need T + K * lost) (s + k) + 1 + 3 * blur + 3).

Hypothesis Hs : 0 <= s.
Hypothesis Hk : 0 <= k.
Lemma cut x e : 0 <= e -> 2 ^ e * Z.shiftr x e <= x < 2 ^ e * Z.shiftr x e + 2 ^ e.
Proof.
  intros E. rewrite Z.shiftr_div_pow2 by auto. assert (P := Z.pow_pos_nonneg 2 e ltac:(lia) E).
  assert (A := Z.mul_div_le x (2 ^ e) P). assert (B := Z.mul_succ_div_gt x (2 ^ e) P). lia.
Qed.
Lemma active_cut a b i : S * active rounded a b i <= active T a b i <= S * active rounded a b i + 3 * S.
Proof.
  unfold active, rounded. cbn [left right shift]. rewrite !memo2_eq, memo1_eq.
  assert (A := cut (left T a i) s Hs). assert (B := cut (right T b i) s Hs). assert (C := cut (shift T i) s Hs).
  assert (P := Z.pow_pos_nonneg 2 s ltac:(lia) Hs). nia.
Qed.

Theorem rounded_leads a b : (a < n)%nat -> (b < n)%nat -> (table a b < O)%nat -> leads m O rounded table a b -> leads m O T
  table a b.
Proof.
  intros A B C L z Hz N. specialize (L z Hz N). set (y := table a b) in *. unfold value in *.
  assert (PS := Z.pow_pos_nonneg 2 s ltac:(lia) Hs). assert (PK := Z.pow_pos_nonneg 2 k ltac:(lia) Hk).
  assert (SK : 2 ^ (s + k) = S * K) by (apply Z.pow_add_r; auto).
  assert (One : forall i, S * K * (active rounded a b i * (unembed rounded i y - unembed rounded i z)) - K * most n T i - 3 * S
    * K * range O (unembed rounded i)
    <= active T a b i * (unembed T i y - unembed T i z)).
  { intros i. assert (D := active_cut a b i). assert (M := active_most n T a b i A B).
    assert (R1 := range_le O (unembed rounded i) y z C Hz). assert (R2 := range_le O (unembed rounded i) z y Hz C).
    assert (Uy : K * unembed rounded i y <= unembed T i y < K * unembed rounded i y + K) by (cbn [rounded unembed];
      rewrite memo2_eq; now apply cut).
    assert (Uz : K * unembed rounded i z <= unembed T i z < K * unembed rounded i z + K) by (cbn [rounded unembed];
      rewrite memo2_eq; now apply cut).
    assert (h0 := active_nonneg rounded a b i). set (h := active T a b i) in *. set (h' := active rounded a b i) in *.
    set (v := unembed rounded i y - unembed rounded i z) in *. set (r := range O (unembed rounded i)) in *.
    assert (X : K * v - K <= unembed T i y - unembed T i z) by (unfold v; lia).
    assert (Y : h * (K * v - K) <= h * (unembed T i y - unembed T i z)) by (apply Z.mul_le_mono_nonneg_l; [nia|auto]).
    assert (Q : - (3 * S * r) <= (h - S * h') * v) by nia. nia. }
  assert (Sum : S * K * lsum (seq 0 m) (fun i => active rounded a b i * (unembed rounded i y - unembed rounded i z))
      - K * zsum m (most n T) - 3 * S * K * zsum m (fun i => range O (unembed rounded i))
    <= lsum (seq 0 m) (fun i => active T a b i * (unembed T i y - unembed T i z))).
  { rewrite <- !lsum_seq, <- !lsum_scal, <- !lsum_minus. apply lsum_le; intros i _. apply One. }
  assert (Split : forall T', lsum (seq 0 m) (fun i => active T' a b i * (unembed T' i y - unembed T' i z)) =
    lsum (seq 0 m) (fun i => active T' a b i * unembed T' i y) - lsum (seq 0 m) (fun i => active T' a b i * unembed T' i z)).
  { intros T'. rewrite <- lsum_minus. apply lsum_ext; intros; ring. }
  rewrite !Split in Sum.
  assert (Dir : forall x w, S * K * directly rounded x w <= directly T x w < S * K * directly rounded x w + S * K).
  { intros x w. unfold directly, rounded. cbn [direct]. destruct (direct T); [rewrite memo2_eq, <- SK; apply cut; lia|nia]. }
  assert (Con : forall w, S * K * constant rounded w <= constant T w < S * K * constant rounded w + S * K).
  { intros w. unfold rounded. cbn [constant]. rewrite memo1_eq, <- SK. apply cut; lia. }
  assert (D1 := Dir a y). assert (D2 := Dir b y). assert (D3 := Dir a z). assert (D4 := Dir b z). assert (C1 := Con y).
  assert (C2 := Con z).
  assert (Need : need T + K * zsum m (most n T) < S * K * (need rounded - 3 * zsum m (fun i => range O
    (unembed rounded i)) - 3)).
  { unfold rounded. cbn [need unembed]. cbv zeta. assert (X := cut (need T + K * zsum m (most n T)) (s + k) ltac:(lia)).
    rewrite SK in X.
    change (zsum m (fun i => most n T i)) with (zsum m (most n T)). lia. }
  assert (F : S * K * (need rounded + 1) <= S * K * (lsum (seq 0 m)
    (fun i => active rounded a b i * unembed rounded i y) + rest rounded a b y
    - (lsum (seq 0 m) (fun i => active rounded a b i * unembed rounded i z) + rest rounded a b z)))
      by (apply Z.mul_le_mono_nonneg_l; lia).
  unfold rest in *. lia.
Qed.
End Rounded.
