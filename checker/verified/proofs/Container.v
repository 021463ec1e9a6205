(* The safetensors container, as FORMAT.md 1 defines it: what it means that a sequence of bytes is one, a function that reads it, and
   where in the file the bits of a weight are. *)
From Coq Require Import ZArith Lia Bool String Strings.Byte List Sorting Permutation.
From CompactProofs Require Import Bytes Json Floats.
Import ListNotations.
Open Scope Z_scope.

Definition ascii (s : string) : list Z := map number (list_byte_of_string s).
Fixpoint same_text (a b : list Z) : bool := match a, b with [], [] => true | x :: s, y :: t => (x =? y) && same_text s t | _, _ => false end.
Fixpoint lookup {A} (key : list Z) (l : list (list Z * A)) : option A :=
  match l with [] => None | (k, x) :: rest => if same_text k key then Some x else lookup key rest end.
(* So many bytes from a place on, and the number that they are, the first being the lowest. *)
Definition slice (s : bytes) (place n : nat) : list byte := map (fun i => byte_at s (place + i)%nat) (seq 0 n).
Definition byte_base : Z := 256.
Fixpoint little_endian (s : bytes) (place n : nat) : Z :=
  match n with O => 0 | S m => number (byte_at s place) + byte_base * little_endian s (S place) m end.

Inductive dtype := BOOL | U8 | I8 | I16 | I32 | I64 | F16 | BF16 | F32 | F64.
Definition dtypes : list (list Z * dtype) :=
  [(ascii "BOOL", BOOL); (ascii "U8", U8); (ascii "I8", I8); (ascii "I16", I16); (ascii "I32", I32); (ascii "I64", I64);
   (ascii "F16", F16); (ascii "BF16", BF16); (ascii "F32", F32); (ascii "F64", F64)].
Definition item_bytes (k : dtype) : nat := match k with BOOL | U8 | I8 => 1 | I16 | F16 | BF16 => 2 | I32 | F32 => 4 | I64 | F64 => 8 end.

(* A tensor: its bytes are those from start on and before stop, counted from the end of the header. *)
Record entry := Entry { kind : dtype; shape : list Z; start : Z; stop : Z }.
Definition product (l : list Z) : Z := fold_right Z.mul 1 l.
Definition most : Z := 2 ^ 28.
Definition allowed (e : entry) : bool :=
  forallb (Z.leb 0) (shape e) && (length (shape e) <=? 8)%nat && (product (filter (fun n => negb (n =? 0)) (shape e)) <=? most)
  && (0 <=? start e) && (start e <=? stop e) && (stop e - start e =? product (shape e) * Z.of_nat (item_bytes (kind e))).
(* They follow each other from one place to another, without gap or overlap. *)
Fixpoint tiled (from : Z) (l : list entry) (to : Z) : bool :=
  match l with [] => from =? to | e :: rest => (start e =? from) && tiled (stop e) rest to end.

(* What a container holds, and where the bytes of tensors begin. *)
Record container := Container { metadata : list (list Z * list Z); tensors : list (list Z * entry); body : nat }.
Definition metadata_key : list Z := ascii "__metadata__".
Definition about_tensors (members : list (list Z * json)) : list (list Z * json) :=
  filter (fun m => negb (same_text (fst m) metadata_key)) members.
(* What the header says of a tensor: exactly these fields, in any order. *)
Definition says (v : json) (e : entry) : Prop := exists fields name, v = Members fields /\ In (name, kind e) dtypes
  /\ Permutation fields [(ascii "dtype", Text name); (ascii "shape", Items (map Integer (shape e)));
                         (ascii "data_offsets", Items [Integer (start e); Integer (stop e)])].
Record is_container (s : bytes) (c : container) : Prop := {
  header_size : body c = (8 + Z.to_nat (little_endian s 0 8))%nat;
  at_most : little_endian s 0 8 <= 2 ^ 20 /\ (body c <= n_bytes s)%nat /\ Z.of_nat (n_bytes s) <= most;
  header : exists members, parse (slice s 8 (body c - 8)) = Some (Members members)
    /\ match lookup metadata_key members with
       | Some v => v = Members (map (fun m => (fst m, Text (snd m))) (metadata c))
       | None => metadata c = []
       end
    /\ Forall2 (fun m t => fst m = fst t /\ says (snd m) (snd t)) (about_tensors members) (tensors c);
  each : Forall (fun t => allowed (snd t) = true) (tensors c);
  tiles : exists order, Permutation (map snd (tensors c)) order /\ tiled 0 order (Z.of_nat (n_bytes s - body c)) = true }.

(* Reading. *)
Fixpoint sliced (s : bytes) (place n : nat) (known : list byte) : list byte :=
  match n with O => known | S m => sliced s place m (byte_at s (place + m)%nat :: known) end.
Fixpoint all {A B} (f : A -> option B) (found : list B) (l : list A) : option (list B) :=
  match l with [] => Some (rev_append found []) | x :: rest => match f x with Some y => all f (y :: found) rest | None => None end end.
Definition integer_in (v : json) : option Z := match v with Integer z => Some z | _ => None end.
Definition read_entry (v : json) : option entry :=
  match v with
  | Members fields =>
      match lookup (ascii "dtype") fields, lookup (ascii "shape") fields, lookup (ascii "data_offsets") fields, (length fields =? 3)%nat with
      | Some (Text name), Some (Items sizes), Some (Items [Integer from; Integer to]), true =>
          match lookup name dtypes, all integer_in [] sizes with
          | Some k, Some sizes => let e := Entry k sizes from to in if allowed e then Some e else None
          | _, _ => None
          end
      | _, _, _, _ => None
      end
  | _ => None
  end.
Definition read_tensor (m : list Z * json) : option (list Z * entry) :=
  match read_entry (snd m) with Some e => Some (fst m, e) | None => None end.
Definition text_in (m : list Z * json) : option (list Z * list Z) := match snd m with Text s => Some (fst m, s) | _ => None end.
Definition read_metadata (members : list (list Z * json)) : option (list (list Z * list Z)) :=
  match lookup metadata_key members with None => Some [] | Some (Members l) => all text_in [] l | Some _ => None end.

Module EntryOrder <: Orders.TotalLeBool.
  Definition t := entry.
  Definition leb (a b : t) : bool := (start a <? start b) || (start a =? start b) && (stop a <=? stop b).
  Theorem leb_total : forall a b, leb a b = true \/ leb b a = true.
  Proof.
    intros a b. unfold leb. destruct (Z.ltb_spec (start a) (start b)), (Z.ltb_spec (start b) (start a)), (Z.eqb_spec (start a) (start b)),
      (Z.eqb_spec (start b) (start a)), (Z.leb_spec (stop a) (stop b)), (Z.leb_spec (stop b) (stop a)); cbn; auto; lia.
  Qed.
End EntryOrder.
Module EntrySort := Mergesort.Sort EntryOrder.

Definition read_container (s : bytes) : option container :=
  let n := little_endian s 0 8 in
  if (8 <=? n_bytes s)%nat && (Z.of_nat (n_bytes s) <=? most) && (n <=? 2 ^ 20) && (8 + n <=? Z.of_nat (n_bytes s)) then
    match parse (sliced s 8 (Z.to_nat n) []) with
    | Some (Members members) =>
        match read_metadata members, all read_tensor [] (about_tensors members) with
        | Some data, Some found =>
            let c := Container data found (8 + Z.to_nat n) in
            if tiled 0 (EntrySort.sort (map snd found)) (Z.of_nat (n_bytes s - body c)) then Some c else None
        | _, _ => None
        end
    | _ => None
    end
  else None.

Lemma sliced_slice s place n : forall known, sliced s place n known = slice s place n ++ known.
Proof.
  unfold slice. induction n as [|n IH]; intros known; [reflexivity|]. cbn [sliced]. rewrite IH, seq_S, map_app, <- app_assoc. reflexivity.
Qed.
Lemma same_text_spec a : forall b, same_text a b = true <-> a = b.
Proof.
  induction a as [|x a IH]; intros [|y b]; cbn; try easy. rewrite andb_true_iff, IH, Z.eqb_eq. split; [intros [-> ->]; auto|].
  intros E. now injection E.
Qed.
Lemma lookup_in {A} key (l : list (list Z * A)) x : lookup key l = Some x -> In (key, x) l.
Proof.
  induction l as [|[k y] l IH]; cbn; [discriminate|]. destruct (same_text k key) eqn:E; auto.
  intros H. injection H as ->. apply same_text_spec in E. subst. auto.
Qed.
Lemma all_spec {A B} (f : A -> option B) l : forall found ys, all f found l = Some ys ->
  exists rest, ys = rev found ++ rest /\ Forall2 (fun x y => f x = Some y) l rest.
Proof.
  induction l as [|x l IH]; intros found ys H; cbn in H.
  - injection H as <-. exists []. rewrite rev_append_rev. auto.
  - destruct (f x) as [y|] eqn:E; [|discriminate]. apply IH in H as (rest & -> & F). exists (y :: rest). cbn. rewrite <- app_assoc. auto.
Qed.
Lemma all_map {A B} (f : A -> option B) (g : B -> A) l ys : (forall x y, f x = Some y -> x = g y) -> all f [] l = Some ys -> l = map g ys.
Proof. intros G H. apply all_spec in H as (rest & -> & F). cbn. induction F; cbn; auto. f_equal; auto. Qed.
Lemma read_entry_says v e : read_entry v = Some e -> says v e /\ allowed e = true.
Proof.
  unfold read_entry. destruct v as [| | | | | |fields]; try discriminate.
  destruct (lookup (ascii "dtype") fields) as [[| | | |name| |]|] eqn:D; try discriminate.
  destruct (lookup (ascii "shape") fields) as [[| | | | |sizes|]|] eqn:S; try discriminate.
  destruct (lookup (ascii "data_offsets") fields) as [[| | | | |[|[| |from| | | |] [|[| |to| | | |] []]]|]|] eqn:O; try discriminate.
  destruct (Nat.eqb_spec (length fields) 3) as [L|]; [|discriminate]. destruct (lookup name dtypes) as [k|] eqn:K; [|discriminate].
  destruct (all integer_in [] sizes) as [shape|] eqn:A; [|discriminate]. cbn zeta. destruct (allowed _) eqn:W; [|discriminate].
  intros H. injection H as <-. split; auto. exists fields, name. cbn [kind Container.shape start stop]. repeat split; [now apply lookup_in|].
  apply (all_map _ Integer) in A as ->; [|intros x y; destruct x; try discriminate; cbn; now intros [= ->]].
  apply Permutation_sym, NoDup_Permutation_bis; [|cbn; lia|].
  - repeat constructor; cbn; intros I; repeat destruct I as [I|I]; try discriminate I; contradiction.
  - intros m I. cbn in I. repeat destruct I as [<-|I]; try contradiction; now apply lookup_in.
Qed.

Theorem read_container_sound s c : read_container s = Some c -> is_container s c.
Proof.
  unfold read_container. cbn zeta. set (n := little_endian s 0 8). destruct (Nat.leb_spec 8 (n_bytes s)); [|discriminate].
  destruct (Z.leb_spec (Z.of_nat (n_bytes s)) most); [|discriminate]. destruct (Z.leb_spec n (2 ^ 20)); [|discriminate].
  destruct (Z.leb_spec (8 + n) (Z.of_nat (n_bytes s))); [|discriminate]. cbn [andb]. rewrite sliced_slice, app_nil_r.
  destruct (parse (slice s 8 (Z.to_nat n))) as [[| | | | | |members]|] eqn:P; try discriminate.
  destruct (read_metadata members) as [data|] eqn:D; [|discriminate].
  destruct (all read_tensor [] (about_tensors members)) as [found|] eqn:T; [|discriminate]. cbn [body].
  destruct (tiled _ _ _) eqn:F; [|discriminate]. intros C. injection C as <-.
  apply all_spec in T as (rest & -> & T). cbn [rev app] in *.
  assert (Each : forall m t, read_tensor m = Some t -> (fst m = fst t /\ says (snd m) (snd t)) /\ allowed (snd t) = true).
  { intros [key v] t. unfold read_tensor. cbn. destruct (read_entry v) as [e|] eqn:E; [|discriminate].
    intros H'. injection H' as <-. apply read_entry_says in E as [A B]. auto. }
  constructor; cbn [body metadata tensors]; fold n.
  - reflexivity.
  - lia.
  - exists members. repeat split.
    + match goal with |- context [slice s 8 ?k] => replace k with (Z.to_nat n) by lia end. exact P.
    + unfold read_metadata in D. destruct (lookup metadata_key members) as [[| | | | | |l]|]; try discriminate.
      2: { cbn. congruence. }
      f_equal. apply (all_map text_in); auto. intros [key v] y. unfold text_in. cbn. destruct v; try discriminate.
      intros E. injection E as <-. reflexivity.
    + clear -T Each. cbn. induction T; constructor; auto. now apply Each.
  - clear -T Each. induction T; constructor; auto. now apply (Each x).
  - eexists. split; [apply EntrySort.Permuted_sort|exact F].
Qed.

(* Formats of binary floating point: how many bits the fraction has, and the exponent. *)
Definition format (k : dtype) : option (Z * Z) :=
  match k with F16 => Some (10, 5) | BF16 => Some (7, 8) | F32 => Some (23, 8) | F64 => Some (52, 11) | _ => None end.
(* A tensor of weights; of those with more than two dimensions, all but the last count rows. *)
Definition weight (s : bytes) (c : container) (e : entry) : option tensor :=
  match format (kind e) with
  | Some (fraction, exponent) =>
      let columns := Z.to_nat (last (shape e) 1) in
      let width := item_bytes (kind e) in
      let first := (body c + Z.to_nat (start e))%nat in
      Some (Tensor fraction exponent (Z.to_nat (product (removelast (shape e)))) columns
              (fun i j => little_endian s (first + width * (i * columns + j)) width))
  | None => None
  end.
Lemma product_last l : product l = product (removelast l) * last l 1.
Proof.
  destruct l as [|x l]; [reflexivity|]. assert (N : x :: l <> []) by easy. rewrite (app_removelast_last 1 N) at 1. unfold product.
  rewrite fold_right_app. cbn [fold_right]. induction (removelast (x :: l)) as [|y r IH]; cbn [fold_right] in *; lia.
Qed.
Lemma product_removelast l : forallb (Z.leb 0) l = true -> 0 <= product (removelast l) /\ 0 <= last l 1.
Proof.
  intros H. rewrite forallb_forall in H. induction l as [|x [|y l] IH]; [cbn; lia|cbn; specialize (H x (or_introl eq_refl)); lia|].
  change (0 <= x * product (removelast (y :: l)) /\ 0 <= last (y :: l) 1). specialize (IH (fun z I => H z (or_intror I))).
  specialize (H x (or_introl eq_refl)). nia.
Qed.
Lemma tiled_within l : forall from to e, Forall (fun e => allowed e = true) l -> tiled from l to = true -> In e l ->
  from <= start e /\ stop e <= to.
Proof.
  assert (Up : forall l from to, Forall (fun e => allowed e = true) l -> tiled from l to = true -> from <= to).
  { intros k. induction k as [|x k IH]; intros from to F H; cbn in H; [lia|]. inversion_clear F as [|? ? A F']. apply andb_prop in H as [E H].
    apply IH in H; auto. unfold allowed in A. lia. }
  induction l as [|x l IH]; intros from to e F H I; [contradiction|]. inversion_clear F as [|? ? A F']. cbn in H. apply andb_prop in H as [E H].
  assert (L : start x <= stop x) by (unfold allowed in A; lia). destruct I as [->|I]; [apply Up in H; auto; lia|]. apply (IH _ _ e) in H; auto. lia.
Qed.

(* The bits of a weight are the number in its bytes, which lie in the tensor, and so in the file. *)
Theorem weight_bits s c name e t i j : is_container s c -> In (name, e) (tensors c) -> weight s c e = Some t ->
  (i < rows t)%nat -> (j < columns t)%nat ->
  let width := item_bytes (kind e) in
  let place := (body c + Z.to_nat (start e) + width * (i * columns t + j))%nat in
  bits_at t i j = little_endian s place width /\ (place + width <= body c + Z.to_nat (stop e) <= n_bytes s)%nat.
Proof.
  intros C I W Hi Hj width place. unfold weight in W. destruct (format (kind e)) as [[fraction exponent]|]; [|discriminate].
  assert (A : allowed e = true) by (pose proof (each s c C) as A; rewrite Forall_forall in A; exact (A _ I)).
  destruct (tiles s c C) as (order & P & F). destruct (at_most s c C) as (_ & B & _).
  assert (In e order) by (apply (Permutation_in _ P), in_map_iff; now exists (name, e)).
  apply (tiled_within _ _ _ e) in F as [_ F]; auto.
  2: { apply Forall_forall. intros x J. apply (Permutation_in _ (Permutation_sym P)), in_map_iff in J as ([key y] & <- & J).
       pose proof (each s c C) as A'. rewrite Forall_forall in A'. exact (A' _ J). }
  unfold allowed in A. repeat rewrite andb_true_iff in A. destruct A as (((((A1 & _) & _) & A2) & A3) & A4).
  apply product_removelast in A1 as [R1 R2]. rewrite product_last in A4. apply Z.eqb_eq in A4. apply Z.leb_le in A2, A3.
  injection W as <-. cbn [rows columns] in *. unfold bits_at. cbn [rows columns bits].
  rewrite (proj2 (Nat.ltb_lt _ _) Hi), (proj2 (Nat.ltb_lt _ _) Hj). cbn [andb]. split; auto. unfold place, width. clear place width.
  set (above := product (removelast (shape e))) in *. set (width := item_bytes (kind e)) in *. set (below := last (shape e) 1) in *.
  assert (In_row : Z.of_nat (i * Z.to_nat below + j) + 1 <= above * below).
  { rewrite Nat2Z.inj_add, Nat2Z.inj_mul, Z2Nat.id by auto. assert (Z.of_nat i + 1 <= above) by lia. nia. }
  assert (Whole : Z.of_nat width * (Z.of_nat (i * Z.to_nat below + j) + 1) <= Z.of_nat width * (above * below))
    by (apply Z.mul_le_mono_nonneg_l; lia).
  split; [|lia]. apply Nat2Z.inj_le. rewrite !Nat2Z.inj_add, (Nat2Z.inj_mul width), !Z2Nat.id by lia. lia.
Qed.
