(* From dyadic weights to tables of bounds: exact integer linear algebra, rounded once; and the functions' theorems.
   Weights are z 2^-e, the margin is mn / md; p, rp, g and terms only say how exactly to compute. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Labels Exponential PrefixChains Enumeration GroupChains FurtherInputs.
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
Definition dot (n : nat) (a b : nat -> Z) : Z := zsum n (fun i => a i * b i).
Definition root : Z := Z.sqrt (2 ^ (2 * rp) / Z.of_nat dh).
Definition score_lo (s : Z) : Z := fshr (if 0 <=? s then s * root else s * (root + 1)) (4 * e + rp - p).
Definition score_hi (s : Z) : Z := cshr (if 0 <=? s then s * (root + 1) else s * root) (4 * e + rp - p).

Definition covered (bs : nat -> list (list nat)) : bool :=
  forallb (fun m => forallb (fun o => existsb (existsb (Nat.eqb o)) (bs m)) (seq 0 O)) (seq 0 V).
Lemma covered_in bs m o : covered bs = true -> (m < V)%nat -> (o < O)%nat -> exists B, In B (bs m) /\ In o B.
Proof.
  intros H Hm Ho. unfold covered in H. rewrite forallb_forall in H. specialize (H m ltac:(apply in_seq; lia)).
  rewrite forallb_forall in H. specialize (H o ltac:(apply in_seq; lia)).
  apply existsb_exists in H as (B & HB & H). apply existsb_exists in H as (o' & Ho' & H). apply Nat.eqb_eq in H; subst; eauto.
Qed.

Definition table_rule := (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) ->
  (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> nat -> Z) -> (nat -> Z) -> Z -> Z.
(* Rule additive-tables, followed by another one. *)
Definition with_tables (F : table_rule) : Z :=
  if (0 <=? e) && (0 <=? p) && (0 <=? rp) && (p <=? 4 * e) && (0 <? K)%nat && (0 <? dh)%nat && (0 <? md) then
  let wu := memo2 O d (fun o i => zWU i o) in
  let wou := memo2 O dh (fun o h => dot d (zWO h) (wu o)) in
  let wv := memo2 dh d (fun h i => zWV i h) in
  let wk := memo2 dh d (fun h i => zWK i h) in
  let wq := memo2 dh d (fun h i => zWQ i h) in
  let last := memo2 V d (fun q i => zWE q i + zWP (K - 1)%nat i) in
  let valE := memo2 V dh (fun t h => dot d (zWE t) (wv h)) in
  let valP := memo2 K dh (fun j h => dot d (zWP j) (wv h)) in
  let keyE := memo2 V dh (fun t h => dot d (zWE t) (wk h)) in
  let keyP := memo2 K dh (fun j h => dot d (zWP j) (wk h)) in
  let qrow := memo2 V dh (fun q h => dot d (last q) (wq h) + zbQ h * 2 ^ e) in
  let tl := memo2 V O (fun t o => fshr (dot dh (valE t) (wou o)) (4 * e - p)) in
  let pl := memo2 K O (fun j o => fshr (dot dh (valP j) (wou o)) (4 * e - p)) in
  let withO := memo2 V d (fun q i => last q i + zbO i) in
  let dl := memo2 V O (fun q o =>
    fshr (dot d (withO q) (wu o) * 2 ^ (2 * e) + zbU o * 2 ^ (3 * e) + dot dh zbV (wou o) * 2 ^ e) (4 * e - p)) in
  let ts := memo2 V V (fun q t => dot dh (qrow q) (keyE t)) in
  let ps := memo2 V K (fun q j => dot dh (qrow q) (keyP j)) in
  let tslo := memo2 V V (fun q t => score_lo (ts q t)) in
  let tshi := memo2 V V (fun q t => score_hi (ts q t)) in
  let pslo := memo2 V K (fun q j => score_lo (ps q j)) in
  let pshi := memo2 V K (fun q j => score_hi (ps q j)) in
  let common := memo1 O (fun o => (zmax V (fun q => dl q o) + zmin V (fun q => dl q o)) / 2) in
  F tslo tshi pslo pshi dl tl pl common slack
  else 0.

Variable rows : list (list nat).
(* Classes of prefixes, and rows beside them. *)
Definition certified : Z :=
  if covered blocks then with_tables (fun tslo tshi pslo pshi dl tl pl common slack =>
    core_total V K p g terms tslo tshi pslo pshi dl tl pl common slack blocks claim
    + listed_total V K O p g terms tslo tshi pslo pshi dl tl pl slack 0 (in_prefix_class K claim) rows) else 0.
Variables passed steps : nat.
Variable gblocks : nat -> nat -> list (list nat).
Variable gclaim : nat -> nat -> nat -> nat -> option grouped.
Definition gcovered : bool := forallb (fun s => covered (gblocks s)) (seq 0 steps).
Definition certified_groups : Z :=
  if gcovered then with_tables (fun tslo tshi pslo pshi dl tl pl common slack =>
    group_total V K p g terms tslo tshi pslo pshi dl tl pl common slack passed steps gblocks gclaim
    + listed_total V K O p g terms tslo tshi pslo pshi dl tl pl slack passed (member K passed gclaim) rows) else 0.
Definition certified_brute : Z :=
  with_tables (fun tslo tshi pslo pshi dl tl pl _ slack => brute_total V K O p g terms tslo tshi pslo pshi dl tl pl slack).

Close Scope Z_scope.
Open Scope R_scope.
Lemma rsum_IZR n f : rsum n (fun i => IZR (f i)) = IZR (zsum n f).
Proof. induction n; simpl; [auto|]. now rewrite IHn, <- plus_IZR. Qed.

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

Lemma score_ok s x : x = IZR s / (E * E * E * E) / sqrt (INR dh) -> IZR (score_lo s) <= P * x <= IZR (score_hi s).
Proof.
  intros ->. assert (EE := pw_pos e He). assert (PP := pw_pos p Hp). assert (TT := pw_pos rp Hrp).
  assert (Q4 := pw_pos (4 * e - p) ltac:(lia)).
  assert (D : 0 < INR dh) by (apply lt_0_INR; lia). assert (S := sqrt_lt_R0 _ D).
  assert (N : (0 <= 4 * e + rp - p)%Z) by lia. assert (NN := pw_pos _ N).
  assert (EN : pw (4 * e + rp - p) = pw (4 * e - p) * pw rp) by (rewrite <- pw_add by lia; f_equal; f_equal; lia).
  rewrite <- E4.
  replace (P * (IZR s / (pw (4 * e - p) * P) / sqrt (INR dh)))
    with (IZR s * (pw rp / sqrt (INR dh)) / pw (4 * e + rp - p)) by (rewrite EN; field; lra).
  destruct root_ok as [R1 R2]. set (q := pw rp / sqrt (INR dh)) in *.
  assert (G : IZR s * q / pw (4 * e + rp - p) * pw (4 * e + rp - p) = IZR s * q) by (field; lra).
  split; apply Rmult_le_reg_r with (pw (4 * e + rp - p)); auto; rewrite G.
  - unfold score_lo. eapply Rle_trans; [apply fshr_le; auto|]. destruct (0 <=? s)%Z eqn:C; rewrite mult_IZR.
    + apply Z.leb_le, IZR_le in C. nra.
    + apply Z.leb_gt, IZR_lt in C. nra.
  - unfold score_hi. eapply Rle_trans; [|apply cshr_ge; auto]. destruct (0 <=? s)%Z eqn:C; rewrite mult_IZR.
    + apply Z.leb_le, IZR_le in C. nra.
    + apply Z.leb_gt, IZR_lt in C. nra.
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
Definition sound (limit : Z) (F : table_rule) : Prop := forall tslo tshi pslo pshi dl tl pl common slack, (0 <= p)%Z -> (0 < K)%nat ->
  (forall q t, IZR (tslo q t) <= P * token_score M q t <= IZR (tshi q t)) ->
  (forall q j, IZR (pslo q j) <= P * position_score M q j <= IZR (pshi q j)) ->
  (forall q o, IZR (dl q o) <= P * direct M q o <= IZR (dl q o) + 1) ->
  (forall t o, IZR (tl t o) <= P * token_value M t o <= IZR (tl t o) + 1) ->
  (forall j o, IZR (pl j o) <= P * position_value M j o <= IZR (pl j o) + 1) ->
  P * margin M <= IZR slack ->
  (F tslo tshi pslo pshi dl tl pl common slack <= limit)%Z.

Lemma slack_ok (a b q : Z) : (0 < b)%Z -> IZR q * (IZR a / IZR b) <= IZR (a * q / b + 1).
Proof.
  intros H. assert (D := IZR_lt _ _ H). assert (L := Z.mul_succ_div_gt (a * q) b H). apply IZR_lt in L.
  rewrite !mult_IZR, succ_IZR in L. rewrite plus_IZR. apply Rmult_le_reg_r with (IZR b); auto.
  replace (IZR q * (IZR a / IZR b) * IZR b) with (IZR a * IZR q) by (field; lra). lra.
Qed.

Theorem with_tables_sound limit F : (0 <= limit)%Z -> sound limit F ->
  (with_tables V O K d dh e p rp mn md zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU F <= limit)%Z.
Proof.
  intros HN HF. unfold with_tables. destruct (_ && _)%bool eqn:C; [|exact HN].
  repeat (apply andb_prop in C as [C ?]).
  repeat match goal with H : (_ <=? _)%Z = true |- _ => apply Z.leb_le in H | H : (_ <? _)%Z = true |- _ => apply Z.ltb_lt in H | H : (_ <? _)%nat = true |- _ => apply Nat.ltb_lt in H end.
  assert (EE := pw_pos e C). assert (DD : 0 < INR dh) by (apply lt_0_INR; lia). assert (SS := sqrt_lt_R0 _ DD).
  cbv zeta.
  match goal with |- context [F ?a ?b ?c ?dd ?ff ?gg ?hh ?cc _] =>
    set (tslo := a); set (tshi := b); set (pslo := c); set (pshi := dd); set (dl := ff); set (tl := gg); set (pl := hh); set (com := cc) end.
  assert (W : forall o h, IZR (dot d (zWO h) (fun i => zWU i o)) * (/ E * / E) = WOU M h o).
  { intros. symmetry. apply dot_real; intros; reflexivity. }
  assert (VE : forall t h, IZR (dot d (zWE t) (fun i => zWV i h)) * (/ E * / E) = valE M t h).
  { intros. symmetry. apply dot_real; intros; reflexivity. }
  assert (VP : forall t h, IZR (dot d (zWP t) (fun i => zWV i h)) * (/ E * / E) = valP M t h).
  { intros. symmetry. apply dot_real; intros; reflexivity. }
  assert (KE : forall t h, IZR (dot d (zWE t) (fun i => zWK i h)) * (/ E * / E) = keyE M t h).
  { intros. symmetry. apply dot_real; intros; reflexivity. }
  assert (KP : forall t h, IZR (dot d (zWP t) (fun i => zWK i h)) * (/ E * / E) = keyP M t h).
  { intros. symmetry. apply dot_real; intros; reflexivity. }
  assert (DE : forall n a a' b b', (forall i, a i = a' i) -> (forall i, b i = b' i) -> dot n a b = dot n a' b').
  { intros n a a' b b' Ha Hb. unfold dot. apply zsum_ext; intros. now rewrite Ha, Hb. }
  assert (QR : forall q h, IZR (dot d (fun i => zWE q i + zWP (K - 1)%nat i)%Z (fun i => zWQ i h) + zbQ h * 2 ^ e) * (/ E * / E)
                           = qrow M q h).
  { intros. unfold qrow. simpl nd. rewrite (dot_real d _ _ (fun i => zWE q i + zWP (K - 1)%nat i)%Z (fun i => zWQ i h) (/ E) (/ E)).
    - rewrite plus_IZR, mult_IZR. simpl bQ. unfold rw. field. lra.
    - intros. rewrite plus_IZR. simpl. unfold rw. field. lra.
    - intros. reflexivity. }
  apply HF; auto.
  - intros q t. unfold tslo, tshi. rewrite !memo2_eq. eapply score_ok; eauto.
    unfold token_score. simpl nh. f_equal.
    erewrite (dot_real dh _ _ _ _ (/ E * / E) (/ E * / E)); [| |].
    2:{ intros h _. rewrite <- QR. reflexivity. }
    2:{ intros h _. rewrite <- KE. reflexivity. }
    match goal with |- IZR (dot ?n ?a ?b) * _ = IZR (dot ?n ?a' ?b') / _ => rewrite (DE n a a' b b'); [field; lra| |] end; intros i; cbn beta; rewrite !memo2_eq.
    + f_equal. apply DE; intros; now rewrite !memo2_eq.
    + apply DE; intros; now rewrite ?memo2_eq.
  - intros q j. unfold pslo, pshi. rewrite !memo2_eq. eapply score_ok; eauto.
    unfold position_score. simpl nh. f_equal.
    erewrite (dot_real dh _ _ _ _ (/ E * / E) (/ E * / E)); [| |].
    2:{ intros h _. rewrite <- QR. reflexivity. }
    2:{ intros h _. rewrite <- KP. reflexivity. }
    match goal with |- IZR (dot ?n ?a ?b) * _ = IZR (dot ?n ?a' ?b') / _ => rewrite (DE n a a' b b'); [field; lra| |] end; intros i; cbn beta; rewrite !memo2_eq.
    + f_equal. apply DE; intros; now rewrite !memo2_eq.
    + apply DE; intros; now rewrite ?memo2_eq.
  - intros q o. unfold dl. rewrite !memo2_eq. eapply floor_ok; eauto.
    unfold direct. simpl nd. simpl nh.
    rewrite (dot_real d _ _ (fun i => zWE q i + zWP (K - 1)%nat i + zbO i)%Z (fun i => zWU i o) (/ E) (/ E)).
    2:{ intros. rewrite !plus_IZR. simpl. unfold rw. field. lra. }
    2:{ intros. reflexivity. }
    rewrite (dot_real dh _ _ zbV (fun h => dot d (zWO h) (fun i => zWU i o)) (/ E) (/ E * / E)).
    2:{ intros. reflexivity. }
    2:{ intros. now rewrite <- W. }
    rewrite !plus_IZR, !mult_IZR. simpl bU. unfold rw.
    replace (2 * e)%Z with (e + e)%Z by lia. replace (3 * e)%Z with (e + e + e)%Z by lia. rewrite !pw_add by lia.
    match goal with |- IZR (dot _ ?a ?b) * _ + _ + IZR (dot _ ?c ?f) * _ = (IZR (dot _ ?a' ?b') * _ + _ + IZR (dot _ ?c' ?f') * _) / _ =>
      rewrite (DE d a a' b b'), (DE dh c c' f f'); [field; lra| | | |] end; intros; rewrite ?memo2_eq; auto.
    apply DE; auto. intros; now rewrite memo2_eq.
  - intros t o. unfold tl. rewrite !memo2_eq. eapply floor_ok; eauto.
    unfold token_value. simpl nh.
    erewrite (dot_real dh _ _ _ _ (/ E * / E) (/ E * / E)); [| |].
    2:{ intros h _. rewrite <- VE. reflexivity. }
    2:{ intros h _. rewrite <- W. reflexivity. }
    match goal with |- IZR (dot ?n ?a ?b) * _ = IZR (dot ?n ?a' ?b') / _ => rewrite (DE n a a' b b'); [field; lra| |] end; intros i; cbn beta; rewrite !memo2_eq; apply DE; intros; now rewrite ?memo2_eq.
  - intros t o. unfold pl. rewrite !memo2_eq. eapply floor_ok; eauto.
    unfold position_value. simpl nh.
    erewrite (dot_real dh _ _ _ _ (/ E * / E) (/ E * / E)); [| |].
    2:{ intros h _. rewrite <- VP. reflexivity. }
    2:{ intros h _. rewrite <- W. reflexivity. }
    match goal with |- IZR (dot ?n ?a ?b) * _ = IZR (dot ?n ?a' ?b') / _ => rewrite (DE n a a' b b'); [field; lra| |] end; intros i; cbn beta; rewrite !memo2_eq; apply DE; intros; now rewrite ?memo2_eq.
  - apply slack_ok; assumption.
Qed.

(* What the checker computes is at most the number of inputs that the real-valued transformer gets right. *)
Variable rows : list (list nat).
Theorem certified_sound :
  (certified V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU blocks claim rows <= n_correct M)%Z.
Proof.
  assert (N := n_correct_nonneg 0 M). unfold certified. destruct (covered V O blocks) eqn:H; [|exact N]. apply with_tables_sound; [exact N|].
  intros ? ? ? ? ? ? ? ? ? Hp HK ? ? ? ? ? ?. apply (listed_sound M p g terms Hp HK); auto. apply (prefix_members_sound M p g terms Hp HK); auto.
  intros m o Hm Ho. exact (covered_in V O blocks m o H Hm Ho).
Qed.

Variables passed steps : nat.
Variable gblocks : nat -> nat -> list (list nat).
Variable gclaim : nat -> nat -> nat -> nat -> option grouped.
Theorem certified_groups_sound :
  (certified_groups V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU rows passed steps gblocks gclaim
   <= n_correct_nth passed M)%Z.
Proof.
  assert (N := n_correct_nonneg passed M). unfold certified_groups. destruct (gcovered V O steps gblocks) eqn:H; [|exact N]. apply with_tables_sound; [exact N|].
  intros ? ? ? ? ? ? ? ? ? Hp HK ? ? ? ? ? ?. apply (listed_sound M p g terms Hp HK); auto. apply (group_members_sound M p g terms Hp HK); auto.
  intros s m o Hs Hm Ho. unfold gcovered in H. rewrite forallb_forall in H.
  exact (covered_in V O (gblocks s) m o (H s ltac:(apply in_seq; lia)) Hm Ho).
Qed.

Theorem certified_brute_sound :
  (certified_brute V O K d dh e p rp mn md g terms zWE zWP zWQ zWK zWV zWO zWU zbQ zbV zbO zbU <= n_correct M)%Z.
Proof.
  apply with_tables_sound; [apply n_correct_nonneg|]. intros ? ? ? ? ? ? ? ? ? Hp HK ? ? ? ? ? ?. apply (brute_sound M p g terms Hp HK); auto.
Qed.
End Final.
