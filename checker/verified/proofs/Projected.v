(* Tables of inner products of integer vectors, as they are or projected (rule projected-tables): bounds in units of 2^-120. *)
From Coq Require Import Reals Lra Lia ZArith List Arith Bool.
From CompactProofs Require Import Semantics Counting Exponential PrefixChains Projections.
Open Scope Z_scope.

Definition dot (n : nat) (a b : nat -> Z) : Z := zsum n (fun i => a i * b i).
Definition all_below (n : nat) (f : nat -> bool) : bool := forallb f (seq 0 n).
(* Whether s is positive, and more than the root of z. *)
Definition root_below (z s : Z) : bool := (0 <? s) && (z <? s * s).
Lemma root_below_ok z s : root_below z s = true -> 0 < s /\ z <= s * s.
Proof. intros H. apply andb_prop in H as [P H]. apply Z.ltb_lt in P, H. lia. Qed.

Section Basis.
Variables (k r : nat) (G : nat -> nat -> Z).   (* "k r", in units of 2^-30 *)
Variable defect : Z.                           (* eps, in units of 2^-60 *)
Definition along (x : nat -> Z) (a : nat) : Z := dot k x (fun i => G i a).
Definition excess (a b : nat) : Z := dot k (fun i => G i a) (fun i => G i b) - if (a =? b)%nat then 2 ^ 60 else 0.
Definition orthonormal : bool := (0 <=? defect) && (zsum r (fun a => zsum r (fun b => excess a b * excess a b)) <=? defect * defect).
(* 1 - 3 eps *)
Definition share : Z := 2 ^ 60 - 3 * defect.
(* From vectors and their coordinates: what is left out, in units of 2^-120. *)
Definition left (s : Z) (x y cx cy : nat -> Z) : Z := 2 ^ 120 * dot k x y - s * dot r cx cy.
End Basis.

(* How a table is projected, and what is claimed of it. Its residual is bounded by lengths, by row differences or by a norm; what is taken
   off is taken off the vectors, or, by a norm, off the rows that a matrix makes vectors of. Rests and the norm are in units of 2^-60. *)
Inductive way := Lengths | Differences | Norm.
Record projection := Projection { residual : way; rank : nat; basis : nat -> nat -> Z; eps : Z; centre : nat -> Z;
  rest_left : nat -> Z; rest_right : nat -> Z; norm : Z }.
(* Lower and upper bounds, which are right if all claims hold. *)
Record bounded := Bounded { holds : bool; lower : nat -> nat -> Z; upper : nat -> nat -> Z }.

Section Table.
Variables n m k k0 : nat.
Variables rows matrix : nat -> nat -> Z.   (* "n k0", "k0 k" *)
Variable shift : nat -> Z.
Variables v w : nat -> nat -> Z.           (* v_i = rows_i matrix + shift, "n k", and w_o, "m k" *)

Definition projected (pr : projection) : bounded :=
  let r := rank pr in let G := memo2 k r (basis pr) in let s := share (eps pr) in
  let c := memo1 k (match residual pr with Norm => fun l => dot k0 (centre pr) (fun j => matrix j l) + shift l | _ => centre pr end) in
  let x := memo2 n k (fun i l => v i l - c l) in
  let cx := memo2 n r (fun i => along k G (x i)) in
  let cw := memo2 m r (fun o => along k G (w o)) in
  let middle := memo1 m (fun o => 2 ^ 120 * dot k c (w o)) in
  let on_right := all_below m (fun o => root_below (left k r s (w o) (w o) (cw o) (cw o)) (rest_right pr o)) in
  let '(claims, width) := match residual pr with
    | Lengths =>
        (on_right && all_below n (fun i => root_below (left k r s (x i) (x i) (cx i) (cx i)) (rest_left pr i)),
         fun i o => rest_left pr i * rest_right pr o)
    | Differences =>
        let g := memo2 n k (fun i l => Z.abs (2 ^ 60 * x i l - dot r (G l) (cx i))) in
        let largest := memo1 k (fun l => zmax m (fun o => Z.abs (w o l))) in
        let sums := memo1 n (fun i => 2 ^ 60 * dot k (g i) largest) in
        (true, fun i _ => sums i)
    | Norm =>
        let cm := memo2 k0 r (fun j => along k G (matrix j)) in
        let square := zsum k0 (fun a => zsum k0 (fun b => let z := left k r s (matrix a) (matrix b) (cm a) (cm b) in z * z)) in
        let own := fun i => let y := fun j => rows i j - centre pr j in 2 ^ 120 * dot k0 y y in
        let rest := memo1 n (fun i => cshr (rest_left pr i * norm pr) 60) in
        (on_right && root_below square (norm pr * norm pr) && (0 <? norm pr) && all_below n (fun i => root_below (own i) (rest_left pr i)),
         fun i o => rest i * rest_right pr o)
    end in
  let main i o := middle o + 2 ^ 60 * dot r (cx i) (cw o) in
  Bounded (orthonormal k r G (eps pr) && claims) (fun i o => main i o - width i o) (fun i o => main i o + width i o).
Definition exact_entry (i o : nat) : Z := 2 ^ 120 * dot k (v i) (w o).
(* Entries beyond the table are as they are. *)
Definition within (bound : nat -> nat -> Z) (i o : nat) : Z := if ((i <? n) && (o <? m))%nat then bound i o else exact_entry i o.
Definition table_bounds (how : option projection) : bounded :=
  match how with
  | None => Bounded true exact_entry exact_entry
  | Some pr => let b := projected pr in Bounded (holds b) (within (lower b)) (within (upper b))
  end.
End Table.

Open Scope R_scope.
Lemma dot_inner n a b : IZR (dot n a b) = inner n (fun i => IZR (a i)) (fun i => IZR (b i)).
Proof. unfold dot, inner. rewrite <- rsum_IZR. apply rsum_ext; intros. apply mult_IZR. Qed.
Lemma dot_ext n a a' b b' : (forall i, (i < n)%nat -> a i = a' i) -> (forall i, (i < n)%nat -> b i = b' i) -> dot n a b = dot n a' b'.
Proof. intros A B. apply zsum_ext; intros i H. now rewrite A, B. Qed.
Lemma inner_scaled n a b x y : inner n (fun i => a i * x) (fun i => b i * y) = inner n a b * (x * y).
Proof. unfold inner. rewrite <- rsum_scal_r. apply rsum_ext; intros; ring. Qed.

Section Sound.
Variables (k r : nat) (G : nat -> nat -> Z) (defect : Z).
Hypothesis Hbasis : orthonormal k r G defect = true.
Notation real x := (fun i => IZR (x i)).
Notation GR := (fun i a => IZR (G i a) * / pw 30).
Notation eps := (IZR defect * / pw 60).
Notation s := (share defect).
Lemma pw_60 : pw 30 * pw 30 = pw 60.
Proof. rewrite <- mult_IZR. reflexivity. Qed.
Lemma pw_120 : pw 60 * pw 60 = pw 120.
Proof. rewrite <- mult_IZR. reflexivity. Qed.
Lemma inverse_60 : / pw 30 * / pw 30 = / pw 60.
Proof. now rewrite <- Rinv_mult, pw_60. Qed.
Lemma inverse_120 : / pw 60 * / pw 60 = / pw 120.
Proof. now rewrite <- Rinv_mult, pw_120. Qed.
Lemma inverse_pos n : (0 <= n)%Z -> 0 < / pw n.
Proof. intros. apply Rinv_0_lt_compat, pw_pos; lia. Qed.

Lemma along_ok x a : coordinates k GR (real x) a = IZR (along k G x a) * / pw 30.
Proof. unfold along. rewrite dot_inner. unfold coordinates, inner. rewrite <- rsum_scal_r. apply rsum_ext; intros; ring. Qed.
Lemma left_ok z x y : left_out k r GR (IZR z * / pw 60) (real x) (real y) = IZR (left k r z x y (along k G x) (along k G y)) * / pw 120.
Proof.
  unfold left_out, left. rewrite minus_IZR, !mult_IZR, !dot_inner.
  rewrite (inner_ext r _ (fun a => IZR (along k G x a) * / pw 30) _ (fun a => IZR (along k G y a) * / pw 30)) by (intros; apply along_ok).
  rewrite inner_scaled, inverse_60, <- pw_120. assert (H := pw_pos 60 ltac:(lia)). field. lra.
Qed.
Lemma eps_nonneg : 0 <= eps.
Proof.
  apply andb_prop in Hbasis as [H _]. apply Z.leb_le, IZR_le in H. assert (I := inverse_pos 60 ltac:(lia)). nra.
Qed.
Lemma orthonormal_ok : frobenius r (fun a b => overlap k GR a b - if (a =? b)%nat then 1 else 0) <= eps * eps.
Proof.
  assert (E : forall a b, overlap k GR a b - (if (a =? b)%nat then 1 else 0) = IZR (excess k G a b) * / pw 60).
  { intros a b. unfold excess. rewrite minus_IZR, dot_inner. unfold overlap.
    assert (I := inner_scaled k (fun i => IZR (G i a)) (fun i => IZR (G i b)) (/ pw 30) (/ pw 30)). unfold inner in I at 1.
    cbv beta in *. rewrite I, inverse_60. assert (H := pw_pos 60 ltac:(lia)). destruct (a =? b)%nat; field; lra. }
  apply andb_prop in Hbasis as [_ R]. apply Z.leb_le, IZR_le in R. rewrite mult_IZR, <- rsum_IZR in R.
  erewrite rsum_ext in R by (intros a _; rewrite <- rsum_IZR; reflexivity).
  assert (I := inverse_pos 60 ltac:(lia)). unfold frobenius. set (q := / pw 60) in *.
  apply Rle_trans with (rsum r (fun a => rsum r (fun b => IZR (excess k G a b * excess k G a b))) * (q * q)).
  - right. rewrite <- rsum_scal_r. apply rsum_ext; intros a _. rewrite <- rsum_scal_r. apply rsum_ext; intros b _.
    rewrite E, mult_IZR. unfold q. ring.
  - apply Rle_trans with (IZR defect * IZR defect * (q * q)); [|lra]. apply Rmult_le_compat_r; [nra|exact R].
Qed.

Lemma share_real : 1 - 3 * eps = IZR s * / pw 60.
Proof. unfold share. rewrite minus_IZR, mult_IZR. assert (H := pw_pos 60 ltac:(lia)). field. lra. Qed.
Notation Q x := (left_out k r GR (1 - 3 * eps) (real x) (real x)).
(* a: a rest of x, in units of 2^-60. *)
Definition is_rest (x : nat -> Z) (a : Z) : Prop := (0 < a)%Z /\ Q x <= IZR a * / pw 60 * (IZR a * / pw 60).
Lemma own_rest x a : root_below (left k r s x x (along k G x) (along k G x)) a = true -> is_rest x a.
Proof.
  intros H. apply root_below_ok in H as [P H]. apply IZR_le in H. split; auto. rewrite share_real, left_ok.
  assert (I := inverse_pos 120 ltac:(lia)).
  replace (IZR a * / pw 60 * (IZR a * / pw 60)) with (IZR (a * a) * / pw 120) by (rewrite mult_IZR, <- inverse_120; ring). nra.
Qed.

(* x . w less the product of coordinates, in units of 2^-120. *)
Definition missed (x w : nat -> Z) : Z := (2 ^ 120 * dot k x w - 2 ^ 60 * dot r (along k G x) (along k G w))%Z.
Lemma missed_real x w : left_out k r GR 1 (real x) (real w) = IZR (missed x w) * / pw 120.
Proof. replace 1 with (IZR (2 ^ 60) * / pw 60) by (field; assert (H := pw_pos 60 ltac:(lia)); lra). apply left_ok. Qed.

Lemma by_rests x w a b : is_rest x a -> is_rest w b -> (Z.abs (missed x w) <= a * b)%Z.
Proof.
  intros [A' A] [B' B]. apply IZR_lt in A', B'. assert (I := inverse_pos 60 ltac:(lia)). assert (J := inverse_pos 120 ltac:(lia)).
  assert (H := left_out_bound k r GR eps eps_nonneg orthonormal_ok _ _ _ _ (Rmult_lt_0_compat _ _ A' I) (Rmult_lt_0_compat _ _ B' I) A B).
  rewrite missed_real, Rabs_mult, (Rabs_pos_eq (/ pw 120)) in H by lra. apply le_IZR. rewrite abs_IZR, mult_IZR.
  apply Rmult_le_reg_r with (/ pw 120); auto.
  replace (IZR a * IZR b * / pw 120) with (IZR a * / pw 60 * (IZR b * / pw 60)) by (rewrite <- inverse_120; ring). exact H.
Qed.

Lemma abs_sum n f : (Z.abs (zsum n f) <= zsum n (fun i => Z.abs (f i)))%Z.
Proof. induction n; simpl; lia. Qed.
Lemma by_differences x w (largest : nat -> Z) : (forall l, (l < k)%nat -> (Z.abs (w l) <= largest l)%Z) ->
  (Z.abs (missed x w) <= 2 ^ 60 * dot k (fun l => Z.abs (2 ^ 60 * x l - dot r (G l) (along k G x))) largest)%Z.
Proof.
  intros H.
  assert (E : missed x w = (2 ^ 60 * dot k (fun l => 2 ^ 60 * x l - dot r (G l) (along k G x)) w)%Z).
  { apply eq_IZR. assert (P := pw_pos 60 ltac:(lia)). assert (N := pw_pos 30 ltac:(lia)).
    apply Rmult_eq_reg_r with (/ pw 120); [|apply Rinv_neq_0_compat; assert (PP := pw_pos 120 ltac:(lia)); lra].
    rewrite <- missed_real, left_out_across, mult_IZR, dot_inner, <- pw_120. unfold inner.
    transitivity (rsum k (fun i => IZR (2 ^ 60 * x i - dot r (G i) (along k G x)) * IZR (w i)) * / pw 60); [|field; lra].
    rewrite <- rsum_scal_r. apply rsum_ext; intros l _. unfold across. rewrite minus_IZR, mult_IZR.
    replace (rsum r (fun a => IZR (G l a) * / pw 30 * coordinates k GR (real x) a)) with (IZR (dot r (G l) (along k G x)) * / pw 60).
    { field. lra. }
    rewrite dot_inner, <- inverse_60. unfold inner. rewrite <- rsum_scal_r. apply rsum_ext; intros a _. rewrite along_ok. ring. }
  rewrite E, Z.abs_mul. apply Z.mul_le_mono_nonneg_l; [lia|]. unfold dot. etransitivity; [apply abs_sum|].
  apply zsum_le; intros l Hl. rewrite Z.abs_mul. apply Z.mul_le_mono_nonneg_l; [lia|auto].
Qed.

(* x = y M; sigma is more than the norm of what is left out of M, and f than the length of y, both in units of 2^-60. *)
Lemma by_norm n y (matrix : nat -> nat -> Z) x sigma f : (forall l, (l < k)%nat -> x l = dot n y (fun j => matrix j l)) ->
  root_below (zsum n (fun a => zsum n (fun b => let z := left k r s (matrix a) (matrix b) (along k G (matrix a)) (along k G (matrix b)) in z * z)))%Z
    (sigma * sigma) = true -> (0 < sigma)%Z -> root_below (2 ^ 120 * dot n y y) f = true -> is_rest x (cshr (f * sigma) 60).
Proof.
  intros X H Ps F. set (z := fun a b => left k r s (matrix a) (matrix b) (along k G (matrix a)) (along k G (matrix b))).
  apply root_below_ok in H as [_ H]. apply root_below_ok in F as [Pf F]. apply IZR_le in H, F.
  rewrite !mult_IZR in H, F. rewrite dot_inner in F.
  assert (I := inverse_pos 60 ltac:(lia)). assert (J := inverse_pos 120 ltac:(lia)). assert (P60 := pw_pos 60 ltac:(lia)).
  assert (C := cshr_ge (f * sigma) 60 ltac:(lia)). rewrite mult_IZR in C. apply IZR_lt in Ps, Pf.
  set (a := cshr (f * sigma) 60) in *.
  assert (Pa : 0 < IZR a) by (apply Rmult_lt_reg_r with (pw 60); nra).
  split; [now apply lt_IZR|].
  assert (Same : Q x = left_out k r GR (1 - 3 * eps) (fun i => rsum n (fun j => IZR (y j) * IZR (matrix j i)))
                                                     (fun i => rsum n (fun j => IZR (y j) * IZR (matrix j i)))).
  { assert (R : forall i, (i < k)%nat -> IZR (x i) = rsum n (fun j => IZR (y j) * IZR (matrix j i))) by (intros; rewrite X by auto; apply dot_inner).
    unfold left_out. f_equal; [now apply inner_ext|]. f_equal. apply inner_ext; intros b _; apply rsum_ext; intros i Hi; now rewrite R. }
  rewrite Same, (left_out_form k r GR (1 - 3 * eps) n (real y) (fun j i => IZR (matrix j i))).
  set (sig := IZR sigma * / pw 60). assert (Sg : 0 < sig) by (apply Rmult_lt_0_compat; auto).
  apply Rle_trans with (sig * sig * inner n (real y) (real y)).
  - apply form_bound; [nra|]. unfold frobenius. rewrite <- rsum_IZR in H. erewrite rsum_ext in H by (intros b _; rewrite <- rsum_IZR; reflexivity).
    apply Rle_trans with (rsum n (fun b => rsum n (fun c => IZR (z b c * z b c))) * (/ pw 120 * / pw 120)).
    + right. rewrite <- rsum_scal_r. apply rsum_ext; intros b _. rewrite <- rsum_scal_r. apply rsum_ext; intros c _.
      rewrite share_real, left_ok, mult_IZR. unfold z. ring.
    + replace (sig * sig * (sig * sig)) with (IZR sigma * IZR sigma * (IZR sigma * IZR sigma) * (/ pw 120 * / pw 120))
        by (unfold sig; rewrite <- inverse_120; ring). apply Rmult_le_compat_r; [nra|exact H].
  - assert (Y := inner_nonneg n (real y)). set (yy := inner n (real y) (real y)) in *.
    assert (Fy : yy <= IZR f * / pw 60 * (IZR f * / pw 60)).
    { apply Rmult_le_reg_l with (pw 120); [apply pw_pos; lia|]. apply Rle_trans with (1 := F). right. rewrite <- pw_120. field. lra. }
    assert (Ca : IZR f * / pw 60 * sig <= IZR a * / pw 60).
    { unfold sig. replace (IZR f * / pw 60 * (IZR sigma * / pw 60)) with (IZR f * IZR sigma * / pw 60 * / pw 60) by ring.
      apply Rmult_le_compat_r; [lra|]. apply Rmult_le_reg_r with (pw 60); auto. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    assert (N : 0 < IZR f * / pw 60) by (apply Rmult_lt_0_compat; auto).
    apply Rle_trans with (sig * sig * (IZR f * / pw 60 * (IZR f * / pw 60))); [apply Rmult_le_compat_l; nra|].
    replace (sig * sig * (IZR f * / pw 60 * (IZR f * / pw 60))) with ((IZR f * / pw 60 * sig) * (IZR f * / pw 60 * sig)) by ring.
    apply Rmult_le_compat; nra.
Qed.
End Sound.

Open Scope Z_scope.
Lemma all_below_ok n f i : all_below n f = true -> (i < n)%nat -> f i = true.
Proof. intros H Hi. unfold all_below in H. rewrite forallb_forall in H. apply H, in_seq. lia. Qed.

Lemma bounded_by k r G c v w width : Z.abs (missed k r G (fun l => v l - c l) w) <= width ->
  let main := 2 ^ 120 * dot k c w + 2 ^ 60 * dot r (along k G (fun l => v l - c l)) (along k G w) in
  main - width <= 2 ^ 120 * dot k v w <= main + width.
Proof.
  set (x := fun l => v l - c l). intros H.
  assert (E : dot k v w = dot k x w + dot k c w) by (unfold dot; rewrite <- zsum_plus; apply zsum_ext; intros; unfold x; ring).
  unfold missed in H. rewrite E. cbv zeta. lia.
Qed.

Theorem table_bounds_ok n m k k0 rows matrix shift v w how :
  (forall i l, (l < k)%nat -> v i l = dot k0 (rows i) (fun j => matrix j l) + shift l) ->
  holds (table_bounds n m k k0 rows matrix shift v w how) = true -> forall i o,
  lower (table_bounds n m k k0 rows matrix shift v w how) i o <= 2 ^ 120 * dot k (v i) (w o)
  <= upper (table_bounds n m k k0 rows matrix shift v w how) i o.
Proof.
  intros Hv. destruct how as [pr|]; [|cbn [table_bounds lower upper]; unfold exact_entry; lia].
  cbn [table_bounds holds lower upper]. intros Hc i o. unfold within. change (2 ^ 120 * dot k (v i) (w o)) with (exact_entry k v w i o).
  destruct ((i <? n) && (o <? m))%nat eqn:Range; [|lia]. apply andb_prop in Range as [Hi Ho]. apply Nat.ltb_lt in Hi, Ho.
  revert Hc. unfold exact_entry, projected. destruct (residual pr); cbv zeta; cbn [holds lower upper];
    rewrite ?memo1_id, ?memo2_id; intros Hc; apply andb_prop in Hc as [Hb Hc]; apply bounded_by.
  - apply andb_prop in Hc as [Hw Hx]. apply (all_below_ok _ _ o) in Hw; auto. apply (all_below_ok _ _ i) in Hx; auto.
    apply (by_rests k _ _ _ Hb); now apply own_rest.
  - apply by_differences; intros l Hl. exact (zmax_ge m (fun o => Z.abs (w o l)) o Ho).
  - apply andb_prop in Hc as [Hc Hx]. apply andb_prop in Hc as [Hc Hn]. apply andb_prop in Hc as [Hw Hs].
    apply (all_below_ok _ _ o) in Hw; auto. apply (all_below_ok _ _ i) in Hx; auto. apply Z.ltb_lt in Hn.
    apply (by_rests k _ _ _ Hb); [|now apply own_rest].
    apply (by_norm k _ _ _ k0 (fun j => rows i j - centre pr j) matrix); auto. intros l Hl. rewrite Hv by auto. unfold dot.
    rewrite (zsum_ext k0 (fun j => (rows i j - centre pr j) * matrix j l) (fun j => rows i j * matrix j l + -1 * (centre pr j * matrix j l)))
      by (intros; ring). rewrite zsum_plus, zsum_scal. ring.
Qed.
