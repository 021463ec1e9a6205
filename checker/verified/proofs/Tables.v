(* From dyadic weights to tables of bounds (rules additive-tables and projected-tables): exact integer linear algebra, rounded once; and
   the functions' theorems.
   Weights are z 2^-e, the margin is mn / md; p, rp, g and terms only say how exactly to compute. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels Exponential PrefixChains Enumeration GroupChains FurtherInputs Projected
  QuickExponential.
Import ListNotations.

Section Weights.
Variables (V O K d dh : nat) (e p rp mn md : Z) (g terms : nat).
Variables zWE zWP zWQ zWK zWV zWO zWU : nat -> nat -> Z.
Variables zbQ zbK zbV zbO zbU : nat -> Z.
Variable blocks : nat -> list (list nat).
Variable claim : nat -> nat -> nat -> option levels.

Notation E := (IZR (2 ^ e)).
Notation P := (IZR (2 ^ p)).
Definition rw (z : Z) : R := (IZR z / E)%R.
(* The model that the integers z 2^-e define, and the margin. *)
Definition real_model : model :=
  Model V O K d dh (fun i j => rw (zWE i j)) (fun i j => rw (zWP i j))
    (fun i j => rw (zWQ i j)) (fun i => rw (zbQ i)) (fun i j => rw (zWK i j)) (fun i => rw (zbK i))
    (fun i j => rw (zWV i j)) (fun i => rw (zbV i)) (fun i j => rw (zWO i j)) (fun i => rw (zbO i))
    (fun i j => rw (zWU i j)) (fun i => rw (zbU i)) (IZR mn / IZR md).
(* At least the margin, in units of 2^-p. *)
Definition slack : Z := (mn * 2 ^ p / md + 1)%Z.

Open Scope Z_scope.
Definition root : Z := Z.sqrt (2 ^ (2 * rp) / Z.of_nat dh).
(* Scores are numbers in units of 2^-(4e + finer), divided by the root of d_head. *)
Definition score_lo (finer s : Z) : Z := fshr (if 0 <=? s then s * root else s * (root + 1)) (4 * e + finer + rp - p).
Definition score_hi (finer s : Z) : Z := cshr (if 0 <=? s then s * (root + 1) else s * root) (4 * e + finer + rp - p).

Definition covered (bs : nat -> list (list nat)) : bool :=
  forallb (fun m => forallb (fun o => existsb (existsb (Nat.eqb o)) (bs m)) (seq 0 O)) (seq 0 V).
Lemma covered_in bs m o : covered bs = true -> (m < V)%nat -> (o < O)%nat -> exists B, In B (bs m) /\ In o B.
Proof.
  intros H Hm Ho. unfold covered in H. rewrite forallb_forall in H. specialize (H m ltac:(apply in_seq; lia)).
  rewrite forallb_forall in H. specialize (H o ltac:(apply in_seq; lia)).
  apply existsb_exists in H as (B & HB & H). apply existsb_exists in H as (o' & Ho' & H). apply Nat.eqb_eq in H; subst; eauto.
Qed.

Definition table_rule := (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) ->
  (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> Z) -> Z -> Z.
(* Rule projected-tables: which tables are projected, if any; what is taken off tokens, "d", and outputs, "d + 1", the last one off their
   bias, in units of 2^-e (centres of projections in those of the vectors: 2^-3e, or 2^-e for rows); whether entries (t, t) of token_value
   are taken as they are. *)
Record projections := Projections { token_centre : nat -> Z; output_centre : nat -> Z; on_score : option projection;
  on_direct : option projection; on_value : option projection; diagonal : bool }.
Definition finer : Z := 120.
(* A rule about tables, after additive-tables (None) or projected-tables. *)
Definition with_tables (source : option projections) (F : table_rule) : Z :=
  if (0 <=? e) && (0 <=? p) && (0 <=? rp) && (p <=? 4 * e) && (0 <? K)%nat && (0 <? dh)%nat && (0 <? md) then
  let wu := memo2 O d (fun o i => zWU i o) in
  let wou := memo2 O dh (fun o h => dot d (zWO h) (wu o)) in
  let wv := memo2 dh d (fun h i => zWV i h) in
  let wk := memo2 dh d (fun h i => zWK i h) in
  let wq := memo2 dh d (fun h i => zWQ i h) in
  let last := memo2 V d (fun q i => zWE q i + zWP (K - 1)%nat i) in
  let valE := memo2 V dh (fun t h => dot d (zWE t) (wv h)) in
  let valP := memo2 K dh (fun j h => dot d (zWP j) (wv h)) in
  let keyP := memo2 K dh (fun j h => dot d (zWP j) (wk h)) in
  let qrow := memo2 V dh (fun q h => dot d (last q) (wq h) + zbQ h * 2 ^ e) in
  let withO := memo2 V d (fun q i => last q i + zbO i) in
  let pl := memo2 K O (fun j o => fshr (dot dh (valP j) (wou o)) (4 * e - p)) in
  let ps := memo2 V K (fun q j => dot dh (qrow q) (keyP j)) in
  let pslo := memo2 V K (fun q j => score_lo 0 (ps q j)) in
  let pshi := memo2 V K (fun q j => score_hi 0 (ps q j)) in
  let finish tslo tshi dl du tl tu :=
    let common := memo1 O (fun o => (zmax V (fun q => du q o) + zmin V (fun q => du q o)) / 2) in
    F tslo tshi pslo pshi dl du tl tu pl common slack in
  match source with
  | None =>
      let keyE := memo2 V dh (fun t h => dot d (zWE t) (wk h)) in
      let tl := memo2 V O (fun t o => fshr (dot dh (valE t) (wou o)) (4 * e - p)) in
      let dl := memo2 V O (fun q o =>
        fshr (dot d (withO q) (wu o) * 2 ^ (2 * e) + zbU o * 2 ^ (3 * e) + dot dh zbV (wou o) * 2 ^ e) (4 * e - p)) in
      let ts := memo2 V V (fun q t => dot dh (qrow q) (keyE t)) in
      finish (memo2 V V (fun q t => score_lo 0 (ts q t))) (memo2 V V (fun q t => score_hi 0 (ts q t)))
        dl (memo2 V O (fun q o => dl q o + 1)) tl (memo2 V O (fun t o => tl t o + 1))
  | Some s =>
      let wo := memo2 d dh (fun i h => zWO h i) in
      (* k_q, f_q and y_t; tokens and outputs less their centres *)
      let queries := memo2 V d (fun q i => dot dh (qrow q) (zWK i)) in
      let tokens := memo2 V d (fun t i => zWE t i - token_centre s i) in
      let scores := table_bounds V V d d last (memo2 d d (fun j i => dot dh (zWQ j) (zWK i)))
        (memo1 d (fun i => dot dh zbQ (zWK i) * 2 ^ e)) queries tokens (on_score s) in
      let outputs := memo2 O (S d) (fun o i => (if (i <? d)%nat then wu o i else zbU o) - output_centre s i) in
      let paths := memo2 V (S d) (fun q i =>
        if (i <? d)%nat then withO q i * 2 ^ (2 * e) + dot dh zbV (wo i) * 2 ^ e else 2 ^ (3 * e)) in
      let direct := table_bounds V O (S d) (S d) paths (fun j i => if (i =? j)%nat then 1 else 0) (fun _ => 0) paths outputs (on_direct s) in
      let values := memo2 V (S d) (fun t i => if (i <? d)%nat then dot dh (valE t) (wo i) else 0) in
      let value := table_bounds V O (S d) d zWE (memo2 d (S d) (fun j i => if (i <? d)%nat then dot dh (zWV j) (wo i) else 0)) (fun _ => 0)
        values outputs (on_value s) in
      let entry bound t o := if diagonal s && (t =? o)%nat then exact_entry (S d) values outputs t o else bound t o in
      if holds scores && holds direct && holds value then
        finish (memo2 V V (fun q t => score_lo finer (lower scores q t))) (memo2 V V (fun q t => score_hi finer (upper scores q t)))
          (memo2 V O (fun q o => fshr (lower direct q o) (4 * e + finer - p))) (memo2 V O (fun q o => cshr (upper direct q o) (4 * e + finer - p)))
          (memo2 V O (fun t o => fshr (entry (lower value) t o) (4 * e + finer - p)))
          (memo2 V O (fun t o => cshr (entry (upper value) t o) (4 * e + finer - p)))
      else 0
  end
  else 0.

Variable source : option projections.
Variable rows : list (list nat).
(* Classes of prefixes, and rows beside them. *)
Definition certified : Z :=
  let expo := exponential p g terms in
  if covered blocks then with_tables source (fun tslo tshi pslo pshi dl du tl tu pl common slack =>
    core_total V K expo tslo tshi pslo pshi dl du tl tu pl common slack blocks claim
    + listed_total V K O p expo tslo tshi pslo pshi dl du tl tu pl slack 0 (in_prefix_class K claim) rows) else 0.
Variables passed steps : nat.
Variable gblocks : nat -> nat -> list (list nat).
Variable gclaim : nat -> nat -> nat -> nat -> option grouped.
Definition gcovered : bool := forallb (fun s => covered (gblocks s)) (seq 0 steps).
Definition certified_groups : Z :=
  let expo := exponential p g terms in
  if gcovered then with_tables source (fun tslo tshi pslo pshi dl du tl tu pl common slack =>
    group_total V K expo tslo tshi pslo pshi dl du tl tu pl common slack passed steps gblocks gclaim
    + listed_total V K O p expo tslo tshi pslo pshi dl du tl tu pl slack passed (member K passed gclaim) rows) else 0.
Definition certified_brute : Z :=
  let expo := exponential p g terms in
  with_tables source (fun tslo tshi pslo pshi dl du tl tu pl _ slack => brute_total V K O p expo tslo tshi pslo pshi dl du tl tu pl slack).

Close Scope Z_scope.
Open Scope R_scope.
Lemma dot_real n A B a b x y : (forall i, (i < n)%nat -> A i = IZR (a i) * x) -> (forall i, (i < n)%nat -> B i = IZR (b i) * y) ->
  rsum n (fun i => A i * B i) = IZR (dot n a b) * (x * y).
Proof.
  intros HA HB. unfold dot. rewrite <- rsum_IZR, <- rsum_scal_r. apply rsum_ext; intros i Hi.
  rewrite HA, HB, mult_IZR by auto. ring.
Qed.

Hypothesis He : (0 <= e)%Z.
Hypothesis Hp : (0 <= p)%Z.
Hypothesis Hrp : (0 <= rp)%Z.
Hypothesis Hpe : (p <= 4 * e)%Z.
Hypothesis Hdh : (0 < dh)%nat.

Lemma E4 : pw (4 * e - p) * P = E * E * E * E.
Proof. rewrite <- pw_add by lia. replace (4 * e - p + p)%Z with (e + e + e + e)%Z by lia. rewrite !pw_add by lia. reflexivity. Qed.

Lemma floor_ok z x : x = IZR z / (E * E * E * E) -> IZR (fshr z (4 * e - p)) <= P * x <= IZR (fshr z (4 * e - p)) + 1.
Proof.
  intros ->. assert (EE := pw_pos e He). assert (PP := pw_pos p Hp). assert (QQ := pw_pos (4 * e - p) ltac:(lia)).
  assert (A := fshr_le z (4 * e - p) ltac:(lia)). assert (B := fshr_lt z (4 * e - p) ltac:(lia)).
  rewrite <- E4. replace (P * (IZR z / (pw (4 * e - p) * P))) with (IZR z / pw (4 * e - p)) by (field; lra).
  split; apply Rmult_le_reg_r with (pw (4 * e - p)); auto;
    replace (IZR z / pw (4 * e - p) * pw (4 * e - p)) with (IZR z) by (field; lra); lra.
Qed.

Lemma root_ok : IZR root <= pw rp / sqrt (INR dh) <= IZR (root + 1).
Proof.
  assert (TT := pw_pos rp Hrp). assert (D : 0 < INR dh) by (apply lt_0_INR; lia). assert (S := sqrt_lt_R0 _ D).
  set (X := (2 ^ (2 * rp) / Z.of_nat dh)%Z). assert (DZ : (0 < Z.of_nat dh)%Z) by lia.
  assert (HX : (0 <= X)%Z) by (apply Z.div_pos; auto; apply Z.pow_nonneg; lia).
  destruct (Z.sqrt_spec X HX) as [A B]. fold X in A, B. unfold root. fold X. set (s := Z.sqrt X) in *.
  assert (s0 : (0 <= s)%Z) by apply Z.sqrt_nonneg.
  assert (D1 := Z.mul_div_le (2 ^ (2 * rp)) (Z.of_nat dh) DZ). fold X in D1.
  assert (D2 := Z.mul_succ_div_gt (2 ^ (2 * rp)) (Z.of_nat dh) DZ). fold X in D2.
  assert (T2 : pw (2 * rp) = pw rp * pw rp) by (replace (2 * rp)%Z with (rp + rp)%Z by lia; now rewrite pw_add).
  apply IZR_le in A, D1, s0. assert (B' : (X + 1 <= (s + 1) * (s + 1))%Z) by lia. apply IZR_le in B'. apply IZR_lt in D2.
  rewrite !mult_IZR, ?plus_IZR in *. rewrite <- INR_IZR_INZ in *. rewrite succ_IZR in D2. rewrite T2 in D1, D2.
  assert (Q : (pw rp / sqrt (INR dh)) * (pw rp / sqrt (INR dh)) * INR dh = pw rp * pw rp).
  { rewrite <- (sqrt_sqrt (INR dh)) at 3 by lra. field. lra. }
  assert (Q0 : 0 < pw rp / sqrt (INR dh)) by (apply Rmult_lt_0_compat; auto; now apply Rinv_0_lt_compat).
  set (q := pw rp / sqrt (INR dh)) in *. set (x := IZR X) in *.
  split; apply Rsqr_incr_0_var; unfold Rsqr; try lra; apply Rmult_le_reg_r with (INR dh); auto; nra.
Qed.

Lemma score_ok x f a z b : (0 <= f)%Z -> x = IZR z / (E * E * E * E) / sqrt (INR dh) -> (a <= 2 ^ f * z <= b)%Z ->
  IZR (score_lo f a) <= P * x <= IZR (score_hi f b).
Proof.
  intros Hf -> [A B]. assert (EE := pw_pos e He). assert (PP := pw_pos p Hp). assert (TT := pw_pos rp Hrp).
  assert (Q4 := pw_pos (4 * e - p) ltac:(lia)). assert (FF := pw_pos f Hf).
  assert (D : 0 < INR dh) by (apply lt_0_INR; lia). assert (S := sqrt_lt_R0 _ D).
  assert (N : (0 <= 4 * e + f + rp - p)%Z) by lia. assert (NN := pw_pos _ N).
  assert (EN : pw (4 * e + f + rp - p) = pw (4 * e - p) * pw f * pw rp) by (rewrite <- !pw_add by lia; f_equal; f_equal; lia).
  rewrite <- E4.
  replace (P * (IZR z / (pw (4 * e - p) * P) / sqrt (INR dh)))
    with (IZR (2 ^ f * z) * (pw rp / sqrt (INR dh)) / pw (4 * e + f + rp - p)) by (rewrite EN, mult_IZR; field; lra).
  apply IZR_le in A, B. set (y := IZR (2 ^ f * z)) in *.
  destruct root_ok as [R1 R2]. assert (R0 : 0 <= IZR root) by (apply IZR_le, Z.sqrt_nonneg).
  set (q := pw rp / sqrt (INR dh)) in *.
  assert (G : y * q / pw (4 * e + f + rp - p) * pw (4 * e + f + rp - p) = y * q) by (field; lra).
  split; apply Rmult_le_reg_r with (pw (4 * e + f + rp - p)); auto; rewrite G.
  - unfold score_lo. eapply Rle_trans; [apply fshr_le; auto|]. destruct (0 <=? a)%Z eqn:C; rewrite mult_IZR.
    + apply Z.leb_le, IZR_le in C. nra.
    + apply Z.leb_gt, IZR_lt in C. nra.
  - unfold score_hi. eapply Rle_trans; [|apply cshr_ge; auto]. destruct (0 <=? b)%Z eqn:C; rewrite mult_IZR.
    + apply Z.leb_le, IZR_le in C. nra.
    + apply Z.leb_gt, IZR_lt in C. nra.
Qed.
Lemma value_ok x f a z b : (0 <= f)%Z -> x = IZR z / (E * E * E * E) -> (a <= 2 ^ f * z <= b)%Z ->
  IZR (fshr a (4 * e + f - p)) <= P * x <= IZR (cshr b (4 * e + f - p)).
Proof.
  intros Hf -> [A B]. assert (PP := pw_pos p Hp). assert (QQ := pw_pos (4 * e - p) ltac:(lia)). assert (FF := pw_pos f Hf).
  assert (N : (0 <= 4 * e + f - p)%Z) by lia. assert (NN := pw_pos _ N).
  assert (EN : pw (4 * e + f - p) = pw (4 * e - p) * pw f) by (rewrite <- pw_add by lia; f_equal; f_equal; lia).
  rewrite <- E4. replace (P * (IZR z / (pw (4 * e - p) * P))) with (IZR (2 ^ f * z) / pw (4 * e + f - p))
    by (rewrite EN, mult_IZR; field; lra).
  apply IZR_le in A, B. set (y := IZR (2 ^ f * z)) in *.
  split; apply Rmult_le_reg_r with (pw (4 * e + f - p)); auto;
    replace (y / pw (4 * e + f - p) * pw (4 * e + f - p)) with y by (field; lra).
  - eapply Rle_trans; [apply fshr_le; auto|exact A].
  - eapply Rle_trans; [exact B|apply cshr_ge; auto].
Qed.
End Weights.

Section Final.
Local Open Scope R_scope.
Variables (V O K d dh : nat) (e p rp mn md : Z) (g terms : nat).
Variables zWE zWP zWQ zWK zWV zWO zWU : nat -> nat -> Z.
Variables zbQ zbK zbV zbO zbU : nat -> Z.
Variable blocks : nat -> list (list nat).
Variable claim : nat -> nat -> nat -> option levels.
Notation M := (real_model V O K d dh e mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbK zbV zbO zbU).
Notation E := (IZR (2 ^ e)).

Notation P := (IZR (2 ^ p)).
Definition sound (limit : Z) (F : table_rule) : Prop :=
  forall tslo tshi pslo pshi dl du tl tu pl common slack (cs cd ct : nat -> R), (0 <= p)%Z -> (0 < K)%nat ->
  (forall q t, IZR (tslo q t) <= P * (token_score M q t - cs q) <= IZR (tshi q t)) ->
  (forall q j, IZR (pslo q j) <= P * position_score M q j <= IZR (pshi q j)) ->
  (forall q o, IZR (dl q o) <= P * (direct M q o - cd q) <= IZR (du q o)) ->
  (forall t o, IZR (tl t o) <= P * (token_value M t o - ct t) <= IZR (tu t o)) ->
  (forall j o, IZR (pl j o) <= P * position_value M j o <= IZR (pl j o) + 1) ->
  P * margin M <= IZR slack ->
  (F tslo tshi pslo pshi dl du tl tu pl common slack <= limit)%Z.

Lemma slack_ok (a b q : Z) : (0 < b)%Z -> IZR q * (IZR a / IZR b) <= IZR (a * q / b + 1).
Proof.
  intros H. assert (D := IZR_lt _ _ H). assert (L := Z.mul_succ_div_gt (a * q) b H). apply IZR_lt in L.
  rewrite !mult_IZR, succ_IZR in L. rewrite plus_IZR. apply Rmult_le_reg_r with (IZR b); auto.
  replace (IZR q * (IZR a / IZR b) * IZR b) with (IZR a * IZR q) by (field; lra). lra.
Qed.

(* The tables of Semantics.v, from integers. *)
Notation zlast := (fun q i => zWE q i + zWP (K - 1)%nat i)%Z.
Notation zqrow := (fun q h => dot d (zlast q) (fun i => zWQ i h) + zbQ h * 2 ^ e)%Z.
Notation zkey t := (fun h => dot d t (fun i => zWK i h)).
Notation zvalue t := (fun h => dot d t (fun i => zWV i h)).
Notation zwou o := (fun h => dot d (zWO h) (fun i => zWU i o)).
Notation zdirect q o := (dot d (fun i => zlast q i + zbO i) (fun i => zWU i o) * 2 ^ (2 * e) + zbU o * 2 ^ (3 * e) + dot dh zbV (zwou o) * 2 ^ e)%Z.
Section Reals.
Hypothesis He : (0 <= e)%Z.
Lemma wou_real h o : WOU M h o = IZR (zwou o h) * (/ E * / E).
Proof. apply dot_real; intros; reflexivity. Qed.
Lemma qrow_real q h : qrow M q h = IZR (zqrow q h) * (/ E * / E).
Proof.
  assert (EE := pw_pos e He). unfold qrow. simpl nd. rewrite (dot_real d _ _ (zlast q) (fun i => zWQ i h) (/ E) (/ E)).
  - rewrite plus_IZR, mult_IZR. simpl bQ. unfold rw. field. lra.
  - intros. rewrite plus_IZR. simpl. unfold rw. field. lra.
  - intros. reflexivity.
Qed.
Lemma over_E4 n A B a b : (forall i, A i = IZR (a i) * (/ E * / E)) -> (forall i, B i = IZR (b i) * (/ E * / E)) ->
  rsum n (fun i => A i * B i) = IZR (dot n a b) / (E * E * E * E).
Proof.
  intros HA HB. assert (EE := pw_pos e He). rewrite (dot_real n A B a b (/ E * / E) (/ E * / E)) by auto. field. lra.
Qed.
Lemma token_score_real q t : token_score M q t = IZR (dot dh (zqrow q) (zkey (zWE t))) / (E * E * E * E) / sqrt (INR dh).
Proof. unfold token_score. simpl nh. f_equal. apply over_E4; [apply qrow_real|]. intros. apply dot_real; intros; reflexivity. Qed.
Lemma position_score_real q j : position_score M q j = IZR (dot dh (zqrow q) (zkey (zWP j))) / (E * E * E * E) / sqrt (INR dh).
Proof. unfold position_score. simpl nh. f_equal. apply over_E4; [apply qrow_real|]. intros. apply dot_real; intros; reflexivity. Qed.
Lemma token_value_real t o : token_value M t o = IZR (dot dh (zvalue (zWE t)) (zwou o)) / (E * E * E * E).
Proof. apply over_E4; [|intros; apply wou_real]. intros. apply dot_real; intros; reflexivity. Qed.
Lemma position_value_real j o : position_value M j o = IZR (dot dh (zvalue (zWP j)) (zwou o)) / (E * E * E * E).
Proof. apply over_E4; [|intros; apply wou_real]. intros. apply dot_real; intros; reflexivity. Qed.
Lemma direct_real q o : direct M q o = IZR (zdirect q o) / (E * E * E * E).
Proof.
  assert (EE := pw_pos e He). unfold direct. simpl nd. simpl nh.
  rewrite (dot_real d _ _ (fun i => zlast q i + zbO i)%Z (fun i => zWU i o) (/ E) (/ E)).
  2:{ intros. rewrite !plus_IZR. simpl. unfold rw. field. lra. }
  2:{ intros. reflexivity. }
  rewrite (dot_real dh _ _ zbV (zwou o) (/ E) (/ E * / E)).
  2:{ intros. reflexivity. }
  2:{ intros. apply wou_real. }
  rewrite !plus_IZR, !mult_IZR. simpl bU. unfold rw.
  replace (2 * e)%Z with (e + e)%Z by lia. replace (3 * e)%Z with (e + e + e)%Z by lia. rewrite !pw_add by lia. field. lra.
Qed.

End Reals.

(* Inner products of the factors. *)
Open Scope Z_scope.
Lemma dot_swap n k a (X : nat -> nat -> Z) b : dot n a (fun h => dot k b (fun i => X i h)) = dot k (fun i => dot n a (X i)) b.
Proof.
  unfold dot. transitivity (zsum n (fun h => zsum k (fun i => a h * X i h * b i))).
  - apply zsum_ext; intros. rewrite <- zsum_scal. apply zsum_ext; intros; ring.
  - rewrite zsum_swap. apply zsum_ext; intros i _. rewrite Z.mul_comm, <- zsum_scal. apply zsum_ext; intros; ring.
Qed.
Lemma dot_minus n a b c : dot n a (fun i => b i - c i) = dot n a b - dot n a c.
Proof.
  unfold dot. rewrite (zsum_ext n _ (fun i => a i * b i + -1 * (a i * c i))) by (intros; ring). rewrite zsum_plus, zsum_scal. ring.
Qed.
Lemma dot_last n a b : dot (S n) a b = dot n a b + a n * b n.
Proof. reflexivity. Qed.
Lemma dot_scaled n a b c : dot n (fun i => a i * c) b = dot n a b * c.
Proof. unfold dot. rewrite Z.mul_comm, <- zsum_scal. apply zsum_ext; intros; ring. Qed.
Lemma dot_plus n a b c : dot n (fun i => a i + b i) c = dot n a c + dot n b c.
Proof. unfold dot. rewrite <- zsum_plus. apply zsum_ext; intros; ring. Qed.
Lemma dot_identity n a k : (k < n)%nat -> dot n a (fun j => if (k =? j)%nat then 1 else 0) = a k.
Proof.
  induction n; intros H; [lia|]. rewrite dot_last. destruct (Nat.eqb_spec k n) as [->|N].
  - unfold dot. rewrite zsum_zero; [ring|]. intros i Hi. destruct (Nat.eqb_spec n i); [lia|ring].
  - rewrite IHn by lia. ring.
Qed.

Lemma dot_sym n a b : dot n a b = dot n b a.
Proof. apply zsum_ext; intros; ring. Qed.
(* k_q, f_q and y_t; and outputs with their biases. *)
Notation queries q := (fun i => dot dh (zqrow q) (zWK i)).
Notation paths q := (fun i => if (i <? d)%nat then (zlast q i + zbO i) * 2 ^ (2 * e) + dot dh zbV (fun h => zWO h i) * 2 ^ e else 2 ^ (3 * e)).
Notation values t := (fun i => if (i <? d)%nat then dot dh (zvalue (zWE t)) (fun h => zWO h i) else 0).
Notation outputs o := (fun i => if (i <? d)%nat then zWU i o else zbU o).
Lemma factored_score q t : dot dh (zqrow q) (zkey (zWE t)) = dot d (queries q) (zWE t).
Proof. apply (dot_swap dh d (zqrow q) zWK). Qed.
Lemma through_outputs (a : nat -> Z) o : dot d (fun i => dot dh a (fun h => zWO h i)) (fun i => zWU i o) = dot dh a (zwou o).
Proof.
  rewrite <- (dot_swap dh d a (fun i h => zWO h i)). apply dot_ext; auto. intros. apply dot_sym.
Qed.
Lemma with_bias (a : nat -> Z) b o : dot (S d) (fun i => if (i <? d)%nat then a i else b) (outputs o) = dot d a (fun i => zWU i o) + b * zbU o.
Proof.
  rewrite dot_last, Nat.ltb_irrefl. f_equal. apply dot_ext; intros i H; now rewrite (proj2 (Nat.ltb_lt i d) H).
Qed.
Lemma factored_direct q o : zdirect q o = dot (S d) (paths q) (outputs o).
Proof. rewrite with_bias, (dot_plus d (fun i => (zlast q i + zbO i) * 2 ^ (2 * e))), !dot_scaled, through_outputs. ring. Qed.
Lemma factored_value t o : dot dh (zvalue (zWE t)) (zwou o) = dot (S d) (values t) (outputs o).
Proof. rewrite with_bias, through_outputs. ring. Qed.
Lemma queries_affine q i : queries q i = dot d (zlast q) (fun j => dot dh (zWQ j) (zWK i)) + dot dh zbQ (zWK i) * 2 ^ e.
Proof.
  cbv beta. rewrite dot_plus, dot_scaled. f_equal.
  rewrite dot_sym, (dot_swap dh d (zWK i) zWQ (zlast q)), dot_sym. apply dot_ext; auto. intros. apply dot_sym.
Qed.
Lemma values_affine t i : values t i = dot d (zWE t) (fun j => if (i <? d)%nat then dot dh (zWV j) (fun h => zWO h i) else 0) + 0.
Proof.
  cbv beta. destruct (i <? d)%nat.
  - rewrite dot_sym, (dot_swap dh d (fun h => zWO h i) zWV (zWE t)), dot_sym, Z.add_0_r. apply dot_ext; auto. intros. apply dot_sym.
  - unfold dot. rewrite zsum_zero; [reflexivity|]. intros; ring.
Qed.

Theorem with_tables_sound source limit F : 0 <= limit -> sound limit F ->
  with_tables V O K d dh e p rp mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU source F <= limit.
Proof.
  intros HN HF. unfold with_tables. destruct (_ && _)%bool eqn:C; [|exact HN].
  repeat (apply andb_prop in C as [C ?]).
  repeat match goal with H : (_ <=? _)%Z = true |- _ => apply Z.leb_le in H | H : (_ <? _)%Z = true |- _ => apply Z.ltb_lt in H | H : (_ <? _)%nat = true |- _ => apply Nat.ltb_lt in H end.
  destruct source as [s|]; cbv zeta; rewrite ?memo1_id, ?memo2_id.
  - match goal with |- (if ?h then _ else _) <= _ => destruct h eqn:Claims; [|exact HN] end.
    apply andb_prop in Claims as [Claims Hv]. apply andb_prop in Claims as [Hs Hd]. set (E4 := (E * E * E * E)%R).
    apply (HF _ _ _ _ _ _ _ _ _ _ _ (fun q => IZR (dot d (queries q) (token_centre s)) / E4 / sqrt (INR dh))%R
             (fun q => IZR (dot (S d) (paths q) (output_centre s)) / E4)%R (fun t => IZR (dot (S d) (values t) (output_centre s)) / E4)%R); auto.
    + intros q t. eapply score_ok; eauto; [unfold finer; lia| |apply table_bounds_ok; [intros; apply queries_affine|exact Hs]].
      rewrite (token_score_real C), factored_score, dot_minus, minus_IZR. unfold E4, Rdiv. ring.
    + intros q j. eapply score_ok; eauto; [lia|apply (position_score_real C)|lia].
    + intros q o. eapply value_ok; eauto; [unfold finer; lia| |apply table_bounds_ok; [|exact Hd]].
      * rewrite (direct_real C), factored_direct, dot_minus, minus_IZR. unfold E4, Rdiv. ring.
      * intros i l Hl. rewrite dot_identity by auto. ring.
    + intros t o. eapply value_ok; eauto; [unfold finer; lia| |].
      * rewrite (token_value_real C), factored_value. instantiate (1 := dot (S d) (values t) (fun i => outputs o i - output_centre s i)).
        rewrite dot_minus, minus_IZR. unfold E4, Rdiv. ring.
      * destruct (diagonal s && (t =? o)%nat); [unfold exact_entry, finer; lia|]. apply table_bounds_ok; [intros; apply values_affine|exact Hv].
    + intros j o. eapply floor_ok; eauto. apply (position_value_real C).
    + now apply slack_ok.
  - apply (HF _ _ _ _ _ _ _ _ _ _ _ (fun _ => 0%R) (fun _ => 0%R) (fun _ => 0%R)); auto.
    + intros q t. rewrite Rminus_0_r. eapply score_ok; eauto; [lia|apply (token_score_real C)|lia].
    + intros q j. eapply score_ok; eauto; [lia|apply (position_score_real C)|lia].
    + intros q o. rewrite Rminus_0_r, plus_IZR. eapply floor_ok; eauto. apply (direct_real C).
    + intros t o. rewrite Rminus_0_r, plus_IZR. eapply floor_ok; eauto. apply (token_value_real C).
    + intros j o. eapply floor_ok; eauto. apply (position_value_real C).
    + now apply slack_ok.
Qed.

(* What the checker computes is at most the number of inputs that the real-valued transformer gets right. *)
Variable source : option projections.
Variable rows : list (list nat).
Theorem certified_sound :
  (certified V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU blocks claim source rows <= n_correct M)%Z.
Proof.
  assert (N := n_correct_nonneg 0 M). unfold certified. destruct (covered V O blocks) eqn:H; [|exact N]. apply with_tables_sound; [exact N|].
  intros ? ? ? ? ? ? ? ? ? ? ? cs cd ct Hp HK ? ? ? ? ? ?. apply (listed_sound M p _ Hp (exponential_ok p g terms Hp) HK _ _ _ _ _ _ _ _ _ _ _ cs cd ct); auto. apply (prefix_members_sound M p _ Hp (exponential_ok p g terms Hp) HK _ _ _ _ _ _ _ _ _ _ _ _ _ cs cd ct); auto.
  intros m o Hm Ho. exact (covered_in V O blocks m o H Hm Ho).
Qed.

Variables passed steps : nat.
Variable gblocks : nat -> nat -> list (list nat).
Variable gclaim : nat -> nat -> nat -> nat -> option grouped.
Theorem certified_groups_sound :
  (certified_groups V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU source rows passed steps gblocks gclaim
   <= n_correct_nth passed M)%Z.
Proof.
  assert (N := n_correct_nonneg passed M). unfold certified_groups. destruct (gcovered V O steps gblocks) eqn:H; [|exact N]. apply with_tables_sound; [exact N|].
  intros ? ? ? ? ? ? ? ? ? ? ? cs cd ct Hp HK ? ? ? ? ? ?. apply (listed_sound M p _ Hp (exponential_ok p g terms Hp) HK _ _ _ _ _ _ _ _ _ _ _ cs cd ct); auto. apply (group_members_sound M p _ Hp (exponential_ok p g terms Hp) HK _ _ _ _ _ _ _ _ _ _ _ _ _ _ _ cs cd ct); auto.
  intros s m o Hs Hm Ho. unfold gcovered in H. rewrite forallb_forall in H.
  exact (covered_in V O (gblocks s) m o (H s ltac:(apply in_seq; lia)) Hm Ho).
Qed.

Theorem certified_brute_sound :
  (certified_brute V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU source <= n_correct M)%Z.
Proof.
  apply with_tables_sound; [apply n_correct_nonneg|]. intros ? ? ? ? ? ? ? ? ? ? ? cs cd ct Hp HK ? ? ? ? ? ?. apply (brute_sound M p _ Hp (exponential_ok p g terms Hp) HK _ _ _ _ _ _ _ _ _ _ cs cd ct); auto.
Qed.
End Final.
