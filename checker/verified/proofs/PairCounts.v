(* What the extracted checker calls for networks on two inputs: from the bits of the weights, and hints, to a number of pairs.
   *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Floats TwoInputs ListSums HiddenLayer LayerTables
  Rounding CodedOutput SetOutput CellOutput.
Import ListNotations.

(* Tensors of heads have the rows of all heads below each other; a bias is one row, and may be absent. *)
Record mlp_weights := MlpWeights { mLeft : tensor; mRight : tensor; mBin : tensor; mWU : tensor; mBU : tensor }.
Record uniform_weights := UniformWeights { uWE : tensor; uWP : tensor; uWV : tensor; uBV : tensor; uWO : tensor; uBO : tensor;
  uWin : tensor; uBin : tensor; uWout : tensor; uBout : tensor; uWU : tensor; uBU : tensor }.

(* The networks, their weights being what IEEE 754 says of their bits. *)
Definition float_mlp (m : nat) (W : mlp_weights) : nat -> nat -> nat -> R :=
  mlp_logit m (float (mLeft W)) (float (mRight W)) (float (mBin W) 0) (float (mWU W)) (float (mBU W) 0).
Definition float_uniform (n d dh H m : nat) (W : uniform_weights) : nat -> nat -> nat -> R :=
  uniform_logit n d dh H m (float (uWE W)) (float (uWP W)) (fun h i k => float (uWV W) (h * d + i) k) (float (uBV W))
    (fun h k i => float (uWO W) (h * dh + k) i) (float (uBO W) 0) (float (uWin W)) (float (uBin W) 0) (float (uWout W))
    (float (uBout W) 0) (float (uWU W)) (float (uBU W) 0).

(* A step of a certificate: of which neurons, and which pairs it claims, perhaps with their mirror images; and how they are
   proved: all at once by sets, or each by itself, by evaluating it, by a code, or cell by cell. These first with fewer digits,
   if so many are left out of what neurons read, and of what they write. *)
Inductive method :=
  Evaluated (s k : Z) | By_code (s k : Z) (rough fine : code) | By_cells (s k : Z) (rough fine : sets) | By_sets (_ : sets).
Record claim := Claim { chosen : nat -> bool; marked : nat -> nat -> bool; mirrored : bool; by_method : method }.

Section Layer.
Variables (n m O : nat) (T : hidden) (table : nat -> nat -> nat).
(* Of some pairs, which are proved: by tables with fewer digits, if these are enough for all of them. *)
Definition roughly (s k : Z) (meant : nat -> nat -> bool) (rough fine : hidden -> nat -> nat -> bool) : nat -> nat -> bool :=
  let first := if ((0 <=? s) && (0 <=? k))%Z
               then let f := rough (rounded n m O T s k) in memo2 n n (fun a b => meant a b && f a b) else fun _ _ => false in
  if forallb (fun a => forallb (fun b => implb (meant a b) (first a b)) (seq 0 n)) (seq 0 n) then first
  else let f := fine T in memo2 n n (fun a b => first a b || meant a b && f a b).
Definition proved (c : claim) : nat -> nat -> bool :=
  let meant a b := marked c a b && (table a b <? O)%nat in
  match by_method c with
  | Evaluated s k => let how T := evaluated n m O T table (chosen c) in roughly s k meant how how
  | By_code s k rough fine =>
      roughly s k meant (fun T => coded n m O T table (chosen c) rough) (fun T => coded n m O T table (chosen c) fine)
  | By_cells s k rough fine =>
      roughly s k meant (fun T => by_cells n m O T table (chosen c) rough) (fun T => by_cells n m O T table (chosen c) fine)
  | By_sets how => let all := (O =? n)%nat && all_lead n m T table (chosen c) how in fun a b => meant a b && all
  end.
Definition mirrored_too (both : bool) (known : nat -> nat -> bool) : nat -> nat -> bool :=
  let both := both && symmetric n m T in
  fun a b => known a b || (both && known b a && (table a b =? table b a)%nat).
Definition found (claims : list claim) : nat -> nat -> bool :=
  let each := map (fun c => mirrored_too (mirrored c) (proved c)) claims in
  fun a b => (table a b <? O)%nat && existsb (fun f => f a b) each.

Lemma proved_sound c a b : (a < n)%nat -> (b < n)%nat -> proved c a b = true -> leads m O T table a b.
Proof.
  intros A B. unfold proved. set (meant a b := marked c a b && (table a b <? O)%nat).
  assert (M : meant a b = true -> (table a b < O)%nat) by (intros E; apply andb_prop in E as [_ E]; now apply Nat.ltb_lt).
  assert (Rough : forall s k rough fine, (forall T, meant a b = true -> rough T a b = true -> leads m O T table a b) ->
    (forall T, meant a b = true -> fine T a b = true -> leads m O T table a b) ->
    roughly s k meant rough fine a b = true -> leads m O T table a b).
  { intros s k rough fine HR HF. unfold roughly. set (first := if (_ && _)%Z then _ else _). intros E.
    assert (F : first a b = true -> leads m O T table a b).
    { unfold first. destruct (_ && _)%Z eqn:SK; [|discriminate]. apply andb_prop in SK as [S K]. apply Z.leb_le in S, K.
      cbv zeta. rewrite memo2_eq. intros G. apply andb_prop in G as [G R].
      apply (rounded_leads n m O T table s k S K a b A B (M G)), HR; auto. }
    destruct (forallb _ _); auto. cbv zeta in E. rewrite memo2_eq in E. apply orb_prop in E as [E|E]; auto.
    apply andb_prop in E as [E E']. auto. }
  destruct (by_method c).
  - apply Rough; intros T' E; now apply evaluated_sound, M.
  - apply Rough; intros T' E; now apply coded_sound, M.
  - apply Rough; intros T' E; now apply by_cells_sound, M.
  - intros E. apply andb_prop in E as [_ E]. apply andb_prop in E as [E L]. apply Nat.eqb_eq in E. rewrite E.
    now apply (all_lead_sound n m T table (chosen c) s).
Qed.
Lemma found_sound claims a b : (a < n)%nat -> (b < n)%nat -> found claims a b = true ->
  (table a b < O)%nat /\ leads m O T table a b.
Proof.
  intros A B F. unfold found in F. apply andb_prop in F as [C F]. apply Nat.ltb_lt in C. split; auto.
  apply existsb_exists in F as (f & I & F). apply in_map_iff in I as (c & <- & _). unfold mirrored_too in F.
  apply orb_prop in F as [F|F]; [now apply (proved_sound c)|]. apply andb_prop in F as [F E]. apply andb_prop in F as [F P].
  apply andb_prop in F as [_ S]. apply Nat.eqb_eq in E. apply (mirror n m O T table b a S); auto. now apply (proved_sound c).
Qed.
End Layer.

(* A bias is absent, or has one row. *)
Definition vector (k : nat) (t : tensor) : bool := shaped 0 0 t || shaped 1 k t.

Section Mlp.
(* The weights that neurons read are multiples of 2^-e, what they write of 2^-u. *)
Variables (n m O : nat) (e u mn md : Z) (W : mlp_weights) (table : nat -> nat -> nat).
Definition mlp_fit : bool :=
  (0 <=? e)%Z && (0 <=? u)%Z && (0 <? md)%Z && shaped n m (mLeft W) && shaped n m (mRight W) && vector m (mBin W)
  && shaped m O (mWU W) && vector O (mBU W) && forallb (exact e) [mLeft W; mRight W; mBin W] && exact u (mWU W)
  && exact (e + u) (mBU W).
Definition count_mlp_pairs (claims : list claim) : Z :=
  if mlp_fit then
    let tables := mlp_tables e u mn md (integers e (mLeft W)) (integers e (mRight W)) (integers e (mBin W) 0) (integers u
      (mWU W))
                    (integers (e + u) (mBU W) 0) in
    count_pairs n (found n m O tables table claims)
  else 0%Z.

Lemma up e' t : (0 <= e')%Z -> exact e' t = true -> forall i j, IZR (integers e' t i j) = (IZR (2 ^ e') * float t i j)%R.
Proof.
  intros He X i j. rewrite <- (integers_value e' t i j He X).
  assert (P : (0 < IZR (2 ^ e'))%R) by (apply IZR_lt, Z.pow_pos_nonneg; lia). field. lra.
Qed.
Lemma count_nonneg k f : (0 <= count_pairs k f)%Z.
Proof. apply zsum_nonneg; intros. apply zsum_nonneg; intros. destruct (f _ _); cbn; lia. Qed.
Lemma right_if_leads S M T logit a b : (0 < S)%Z -> need T = (mn * S / md)%Z -> (0 < md)%Z ->
  (forall z, IZR (value M T a b z) = (IZR S * logit a b z)%R) -> (table a b < O)%nat -> leads M O T table a b ->
  right_pair O (IZR mn / IZR md) table logit a b = true.
Proof.
  intros HS N D V C L. apply right_pair_iff. split; auto. intros z Hz Nz. specialize (L z Hz Nz). rewrite N in L.
  apply (need_ok mn md S _ D) in L. rewrite minus_IZR, !V in L. apply IZR_lt in HS. nra.
Qed.

Theorem count_mlp_pairs_sound claims :
  (count_mlp_pairs claims <= n_right_pairs n O (IZR mn / IZR md) table (float_mlp m W))%Z.
Proof.
  unfold count_mlp_pairs. destruct mlp_fit eqn:F; [|apply count_nonneg]. unfold mlp_fit in F.
  apply andb_prop in F as [F XbU]. apply andb_prop in F as [F XU]. apply andb_prop in F as [F X].
  repeat (apply andb_prop in F as [F ?Y]). apply Z.leb_le in F, Y5. apply Z.ltb_lt in Y4. rewrite forallb_forall in X.
  apply count_pairs_le. intros a b A B K. apply found_sound in K as [C L]; auto.
  apply (right_if_leads (2 ^ (e + u)) m _ (float_mlp m W) a b) in L; auto; [apply Z.pow_pos_nonneg; lia|].
  intros z. rewrite pw_add by auto.
  apply mlp_value; auto; intros; rewrite <- ?pw_add by auto; apply up; auto; try (apply X; cbn; auto); lia.
Qed.
End Mlp.

Section Uniform.
(* Embeddings are multiples of 2^-e, W_V of 2^-v, W_O of 2^-o, W_in of 2^-r, W_out of 2^-w, W_U of 2^-u; biases of what they
   are added to. *)
Variables (n d dh H m O : nat) (e v o r w u mn md : Z) (W : uniform_weights) (table : nat -> nat -> nat).
Definition uniform_fit : bool :=
  (0 <? md)%Z && shaped (S n) d (uWE W) && shaped 3 d (uWP W) && shaped (H * d) dh (uWV W) && (shaped 0 0 (uBV W)
    || shaped H dh (uBV W))
  && shaped (H * dh) d (uWO W) && vector d (uBO W) && shaped d m (uWin W) && vector m (uBin W) && shaped m d (uWout W)
  && vector d (uBout W) && shaped d O (uWU W) && vector O (uBU W) && forallb (fun x => 0 <=? x)%Z [e; v; o; r; w; u]
  && forallb (fun x => exact (fst x) (snd x)) [(e, uWE W); (e, uWP W); (v, uWV W); (e + v, uBV W); (o, uWO W);
    (e + v + o, uBO W);
       (r, uWin W); (e + v + o + r, uBin W); (w, uWout W); (e + v + o, uBout W); (u, uWU W); (e + v + o + u, uBU W)]%Z.
Definition count_uniform_pairs (claims : list claim) : Z :=
  if uniform_fit then
    let wv := integers v (uWV W) in
    let wo := integers o (uWO W) in
    let tables := uniform_tables n d dh H m O e v o r w u mn md (integers e (uWE W)) (integers e (uWP W))
      (fun h i k => wv (h * d + i)%nat k) (integers (e + v) (uBV W)) (fun h k i => wo (h * dh + k)%nat i)
      (integers (e + v + o) (uBO W) 0%nat) (integers r (uWin W)) (integers (e + v + o + r) (uBin W) 0%nat) (integers w
        (uWout W))
      (integers (e + v + o) (uBout W) 0%nat) (integers u (uWU W)) (integers (e + v + o + u) (uBU W) 0%nat) in
    count_pairs n (found n m O tables table claims)
  else 0%Z.

Theorem count_uniform_pairs_sound claims :
  (count_uniform_pairs claims <= n_right_pairs n O (IZR mn / IZR md) table (float_uniform n d dh H m W))%Z.
Proof.
  unfold count_uniform_pairs. destruct uniform_fit eqn:F; [|apply count_nonneg]. unfold uniform_fit in F.
  apply andb_prop in F as [F X].
  apply andb_prop in F as [F N0]. repeat (apply andb_prop in F as [F ?Y]). rewrite forallb_forall in N0, X. apply Z.ltb_lt in F.
  assert (N : forall x, In x [e; v; o; r; w; u] -> (0 <= x)%Z) by (intros x I; now apply Z.leb_le, N0).
  assert (E0 : (0 <= e)%Z /\ (0 <= v)%Z /\ (0 <= o)%Z /\ (0 <= r)%Z /\ (0 <= w)%Z /\ (0 <= u)%Z) by (repeat split; apply N; cbn;
    auto 20).
  destruct E0 as (E0 & E1 & E2 & E3 & E4 & E5).
  assert (Up : forall x t, In (x, t) [(e, uWE W); (e, uWP W); (v, uWV W); (e + v, uBV W); (o, uWO W); (e + v + o, uBO W);
       (r, uWin W); (e + v + o + r, uBin W); (w, uWout W); (e + v + o, uBout W); (u, uWU W); (e + v + o + u, uBU W)]%Z ->
    (0 <= x)%Z -> forall i j, IZR (integers x t i j) = (IZR (2 ^ x) * float t i j)%R).
  { intros x t I P. apply up; auto. exact (X (x, t) I). }
  apply count_pairs_le. intros a b A B K. apply found_sound in K as [C L]; auto.
  apply (right_if_leads O mn md table (3 * 2 ^ (e + v + o + r + w + u)) m _ (float_uniform n d dh H m W) a b) in L; auto;
    [assert (P := Z.pow_pos_nonneg 2 (e + v + o + r + w + u)); lia|].
  intros z. rewrite mult_IZR, (Rmult_comm 3), !pw_add by lia. cbv zeta.
  apply uniform_value; auto; intros; rewrite <- ?pw_add by lia; apply Up; try lia; cbn; auto 20.
Qed.
End Uniform.
