(* JSON as FORMAT.md 1 allows it: no key is repeated, nothing is nested more than 32 deep, numbers are exact. A parser, and the
   canonical spelling, of which the theorems say that it is what the parser reads, and that it has one value only. *)
From Coq Require Import ZArith Lia Bool Strings.Byte List Sorting Permutation.
From CompactProofs Require Import Bytes Utf8 Sha256.
Import ListNotations.
Open Scope Z_scope.

(* Texts are code points; a decimal is m 10^e. Members come in the order of the text. *)
Inductive json := Null | Truth (b : bool) | Integer (z : Z) | Decimal (m e : Z) | Text (s : list Z) | Items (l : list json)
  | Members (l : list (list Z * json)).

(* The order of texts by code points. *)
Fixpoint text_below (a b : list Z) : bool :=
  match a, b with
  | _, [] => false
  | [], _ => true
  | x :: s, y :: t => (x <? y) || (x =? y) && text_below s t
  end.
Fixpoint ascending (l : list (list Z)) : bool := match l with a :: (b :: _) as r => text_below a b && ascending r | _ => true end.

(* Writing. *)
Definition unit (c : Z) : list byte :=
  [x5c; "u"%byte; hex_digit (c / 4096); hex_digit (c / 256 mod 16); hex_digit (c / 16 mod 16); hex_digit (c mod 16)].
Definition write_char (c : Z) : list byte :=
  if c =? 0x22 then [x5c; x22]
  else if c =? 0x5c then [x5c; x5c]
  else if c =? 8 then [x5c; "b"%byte]
  else if c =? 9 then [x5c; "t"%byte]
  else if c =? 10 then [x5c; "n"%byte]
  else if c =? 12 then [x5c; "f"%byte]
  else if c =? 13 then [x5c; "r"%byte]
  else if (32 <=? c) && (c <? 127) then [byte_of c]
  else if c <? 0x10000 then unit c
  else unit (0xd800 + (c - 0x10000) / 1024) ++ unit (0xdc00 + (c - 0x10000) mod 1024).
Definition write_text (s : list Z) : list byte := x22 :: flat_map write_char s ++ [x22].
(* The decimal digits of a number that is not negative, before those that are known. *)
Fixpoint digits_of (fuel : nat) (z : Z) (known : list byte) : list byte :=
  match fuel with
  | O => known
  | S n => let known := hex_digit (z mod 10) :: known in if z <? 10 then known else digits_of n (z / 10) known
  end.
Definition natural_digits (z : Z) : list byte := digits_of (S (Z.to_nat (Z.log2 z))) z [].
Definition write_integer (z : Z) : list byte := if z <? 0 then "-"%byte :: natural_digits (- z) else natural_digits z.
Fixpoint joined (parts : list (list byte)) : list byte :=
  match parts with [] => [] | [last] => last | part :: rest => part ++ x2c :: joined rest end.
(* Decimals have no canonical spelling. *)
Fixpoint write (v : json) : list byte :=
  match v with
  | Null => ["n"; "u"; "l"; "l"]%byte
  | Truth true => ["t"; "r"; "u"; "e"]%byte
  | Truth false => ["f"; "a"; "l"; "s"; "e"]%byte
  | Integer z => write_integer z
  | Decimal _ _ => []
  | Text s => write_text s
  | Items l => x5b :: joined (map write l) ++ [x5d]
  | Members l => x7b :: joined (map (fun member => write_text (fst member) ++ x3a :: write (snd member)) l) ++ [x7d]
  end.
(* Integers have at most so many digits. *)
Definition most_digits : nat := 4000.
Definition limit : Z := 10 ^ Z.of_nat most_digits.
(* It has a canonical spelling, of at most so many levels: keys are sorted and differ, and there are no decimals. *)
Fixpoint canonical (levels : nat) (v : json) : bool :=
  match v, levels with
  | Integer z, _ => Z.abs z <? limit
  | Decimal _ _, _ => false
  | Text s, _ => forallb scalar s
  | Items l, S n => forallb (canonical n) l
  | Members l, S n => forallb (fun member => forallb scalar (fst member) && canonical n (snd member)) l && ascending (map fst l)
  | Items _, O | Members _, O => false
  | _, _ => true
  end.

(* Reading: what a text begins with, and what follows. *)
Fixpoint skip (s : list byte) : list byte := match s with (x20 | x09 | x0a | x0d) :: r => skip r | _ => s end.
Definition after (b : byte) (s : list byte) : option (list byte) :=
  match skip s with c :: r => if Byte.eqb c b then Some r else None | [] => None end.
Definition hex_value (b : byte) : option Z :=
  let x := number b in
  if (48 <=? x) && (x <? 58) then Some (x - 48)
  else if (97 <=? x) && (x <? 103) then Some (x - 87)
  else if (65 <=? x) && (x <? 71) then Some (x - 55)
  else None.
Definition hex (s : list byte) : option (Z * list byte) :=
  match s with
  | a :: b :: c :: d :: r =>
      match hex_value a, hex_value b, hex_value c, hex_value d with
      | Some a, Some b, Some c, Some d => Some (((a * 16 + b) * 16 + c) * 16 + d, r)
      | _, _, _, _ => None
      end
  | _ => None
  end.
(* After a backslash; surrogates come in pairs. *)
Definition escaped (s : list byte) : option (Z * list byte) :=
  match s with
  | (x22 | x5c | x2f) as b :: r => Some (number b, r)
  | "b"%byte :: r => Some (8, r)
  | "f"%byte :: r => Some (12, r)
  | "n"%byte :: r => Some (10, r)
  | "r"%byte :: r => Some (13, r)
  | "t"%byte :: r => Some (9, r)
  | "u"%byte :: r =>
      match hex r with
      | Some (high, r) =>
          if scalar high then Some (high, r)
          else match r with
               | x5c :: "u"%byte :: r =>
                   match hex r with
                   | Some (low, r) =>
                       if (high <? 0xdc00) && (0xdc00 <=? low) && (low <? 0xe000) then Some (0x10000 + (high - 0xd800) * 1024 + (low - 0xdc00), r)
                       else None
                   | None => None
                   end
               | _ => None
               end
      | None => None
      end
  | _ => None
  end.
Definition is_digit (b : byte) : bool := let x := number b in (48 <=? x) && (x <? 58).
Fixpoint leading_digits (found s : list byte) : list byte * list byte :=
  match s with b :: r => if is_digit b then leading_digits (b :: found) r else (rev_append found [], s) | [] => (rev_append found [], []) end.
Definition digits_value (l : list byte) : Z := fold_left (fun z b => z * 10 + (number b - 48)) l 0.
(* What follows a point or an exponent, if there is one: one digit or more. *)
Definition some_digits (s : list byte) : option (list byte * list byte) :=
  let (l, r) := leading_digits [] s in match l with [] => None | _ => Some (l, r) end.
Definition fraction (s : list byte) : option (option (list byte) * list byte) :=
  match s with
  | x2e :: r => match some_digits r with Some (l, r) => Some (Some l, r) | None => None end
  | _ => Some (None, s)
  end.
Definition exponent (s : list byte) : option (option Z * list byte) :=
  match s with
  | ("e"%byte | "E"%byte) :: r =>
      let (negative, r) := match r with x2d :: r => (true, r) | x2b :: r => (false, r) | _ => (false, r) end in
      match some_digits r with
      | Some (l, r) => if (length l <=? 3)%nat then Some (Some (if negative : bool then - digits_value l else digits_value l), r) else None
      | None => None
      end
  | _ => Some (None, s)
  end.
Definition whole (s : list byte) : option (list byte * list byte) :=
  match some_digits s with
  | Some (l, r) => match l with x30 :: _ :: _ => None | _ => if (length l <=? most_digits)%nat then Some (l, r) else None end
  | None => None
  end.
Definition parse_number (s : list byte) : option (json * list byte) :=
  let (negative, s) := match s with x2d :: r => (true, r) | _ => (false, s) end in
  let signed z := if negative : bool then - z else z in
  match whole s with
  | None => None
  | Some (l, r) =>
      match fraction r with
      | None => None
      | Some (after, r) =>
          match exponent r with
          | None => None
          | Some (power, r) =>
              match after, power with
              | None, None => Some (Integer (signed (digits_value l)), r)
              | _, _ =>
                  let after := match after with Some f => f | None => [] end in
                  let power := match power with Some e => e | None => 0 end in
                  if (length l <=? 30)%nat && (length after <=? 60)%nat
                  then Some (Decimal (signed (digits_value (l ++ after))) (power - Z.of_nat (length after)), r)
                  else None
              end
          end
      end
  end.

Fixpoint without (word s : list byte) : option (list byte) :=
  match word, s with [], _ => Some s | a :: w, b :: r => if Byte.eqb a b then without w r else None | _, [] => None end.
Definition parse_word (s : list byte) : option (json * list byte) :=
  match without (write Null) s, without (write (Truth true)) s, without (write (Truth false)) s with
  | Some r, _, _ => Some (Null, r)
  | _, Some r, _ => Some (Truth true, r)
  | _, _, Some r => Some (Truth false, r)
  | _, _, _ => parse_number s
  end.

Module TextOrder <: Orders.TotalLeBool.
  Definition t := list Z.
  Definition leb (a b : t) : bool := negb (text_below b a).
  Theorem leb_total : forall a b, leb a b = true \/ leb b a = true.
  Proof.
    unfold leb. induction a as [|x s IH]; intros [|y t]; cbn; auto.
    destruct (Z.ltb_spec x y), (Z.ltb_spec y x), (Z.eqb_spec x y), (Z.eqb_spec y x); cbn; auto; lia.
  Qed.
End TextOrder.
Module TextSort := Mergesort.Sort TextOrder.
Definition distinct (keys : list (list Z)) : bool := ascending keys || ascending (TextSort.sort keys).

Section Fuel.
Variable fuel : nat.   (* at least the number of bytes *)
Fixpoint chars (fuel : nat) (found : list Z) (s : list byte) : option (list Z * list byte) :=
  match fuel, s with
  | S n, b :: r =>
      if Byte.eqb b x22 then Some (rev_append found [], r)
      else if Byte.eqb b x5c then match escaped r with Some (c, r) => chars n (c :: found) r | None => None end
      else if number b <? 32 then None
      else match code_point s with Some (c, r) => chars n (c :: found) r | None => None end
  | _, _ => None
  end.
Section Elements.
Variable element : list byte -> option (json * list byte).
Fixpoint items (fuel : nat) (found : list json) (s : list byte) : option (list json * list byte) :=
  match fuel, element s with
  | S n, Some (v, r) =>
      match skip r with
      | x2c :: r => items n (v :: found) r
      | x5d :: r => Some (rev_append found [v], r)
      | _ => None
      end
  | _, _ => None
  end.
Definition member (s : list byte) : option ((list Z * json) * list byte) :=
  match skip s with
  | x22 :: r =>
      match chars fuel [] r with
      | Some (key, r) =>
          match skip r with
          | x3a :: r => match element r with Some (v, r) => Some ((key, v), r) | None => None end
          | _ => None
          end
      | None => None
      end
  | _ => None
  end.
Fixpoint members (fuel : nat) (found : list (list Z * json)) (s : list byte) : option (list (list Z * json) * list byte) :=
  match fuel, member s with
  | S n, Some (m, r) =>
      match skip r with
      | x2c :: r => members n (m :: found) r
      | x7d :: r => Some (rev_append found [m], r)
      | _ => None
      end
  | _, _ => None
  end.
End Elements.
Fixpoint value (levels : nat) (s : list byte) : option (json * list byte) :=
  match skip s, levels with
  | x22 :: r, _ => match chars fuel [] r with Some (s, r) => Some (Text s, r) | None => None end
  | x5b :: r, S n =>
      match after x5d r with
      | Some r => Some (Items [], r)
      | None => match items (value n) fuel [] r with Some (l, r) => Some (Items l, r) | None => None end
      end
  | x7b :: r, S n =>
      match after x7d r with
      | Some r => Some (Members [], r)
      | None => match members (value n) fuel [] r with
                | Some (l, r) => if distinct (map fst l) then Some (Members l, r) else None
                | None => None
                end
      end
  | (x5b | x7b) :: _, O => None
  | r, _ => parse_word r
  end.
End Fuel.
Definition deepest : nat := 32.
Definition parse (s : list byte) : option json :=
  match value (S (length s)) deepest s with Some (v, r) => match skip r with [] => Some v | _ => None end | None => None end.

Lemma hex_value_digit z : 0 <= z < 16 -> hex_value (hex_digit z) = Some z.
Proof.
  intros H. unfold hex_value, hex_digit. destruct (Z.ltb_spec z 10); rewrite number_byte_of by lia; cases; f_equal; lia.
Qed.
Lemma hex_unit c s : 0 <= c < 0x10000 -> unit c ++ s = x5c :: "u"%byte :: skipn 2 (unit c) ++ s /\ hex (skipn 2 (unit c) ++ s) = Some (c, s).
Proof.
  intros H. split; [reflexivity|]. cbn [unit skipn app hex]. rewrite !hex_value_digit by (Z.div_mod_to_equations; lia).
  do 2 f_equal. Z.div_mod_to_equations. lia.
Qed.
Lemma byte_eqb a b : Byte.eqb a b = (number a =? number b).
Proof.
  destruct (Byte.eqb a b) eqn:E; symmetry.
  - apply Byte.byte_dec_bl in E. subst. apply Z.eqb_refl.
  - apply Z.eqb_neq. intros N. assert (a = b) by (rewrite <- (byte_of_number a), N; apply byte_of_number). subst.
    now rewrite (Byte.byte_dec_lb eq_refl) in E.
Qed.
Lemma char_written n found c s : scalar c = true -> chars (S n) found (write_char c ++ s) = chars n (c :: found) s.
Proof.
  intros S. unfold write_char.
  repeat match goal with |- context [if c =? ?k then _ else _] => destruct (Z.eqb_spec c k); [subst; reflexivity|] end.
  assert (B : 0 <= c < 0x110000) by (unfold scalar in S; cases; lia).
  destruct ((32 <=? c) && (c <? 127)) eqn:P.
  - cases. assert (U := code_point_complete c s S). unfold utf8 in U. cases. cbn [app chars] in *. rewrite !byte_eqb, number_byte_of by lia.
    cbn [number]. change (number x22) with 0x22. change (number x5c) with 0x5c.
    rewrite (proj2 (Z.eqb_neq c _)), (proj2 (Z.eqb_neq c _)), U by lia. cases. reflexivity.
  - clear P. destruct (Z.ltb_spec c 0x10000).
    + destruct (hex_unit c s) as [-> H']; [lia|]. cbn [chars Byte.eqb escaped]. cbv beta iota. change (Byte.eqb x5c x22) with false.
      change (Byte.eqb x5c x5c) with true. cbv iota. now rewrite H', S.
    + rewrite <- app_assoc. set (high := 0xd800 + (c - 0x10000) / 1024). set (low := 0xdc00 + (c - 0x10000) mod 1024).
      assert (H1 : 0xd800 <= high < 0xdc00) by (subst high; Z.div_mod_to_equations; lia).
      assert (H2 : 0xdc00 <= low < 0xe000) by (subst low; Z.div_mod_to_equations; lia).
      destruct (hex_unit high (unit low ++ s)) as [-> H']; [lia|]. destruct (hex_unit low s) as [E H'']; [lia|].
      cbn [chars escaped]. change (Byte.eqb x5c x22) with false. change (Byte.eqb x5c x5c) with true. cbv iota.
      rewrite H', E. replace (scalar high) with false by (unfold scalar; cases; reflexivity). cbv iota. rewrite H''.
      cases. replace (0x10000 + (high - 0xd800) * 1024 + (low - 0xdc00)) with c by (subst high low; Z.div_mod_to_equations; lia). reflexivity.
Qed.
Lemma write_char_length c : (1 <= length (write_char c))%nat.
Proof. unfold write_char. repeat match goal with |- context [if ?b then _ else _] => destruct b end; cbn; lia. Qed.
Lemma text_written s : forall n found r, forallb scalar s = true -> (length (flat_map write_char s ++ x22 :: r) <= n)%nat ->
  chars n found (flat_map write_char s ++ x22 :: r) = Some (rev found ++ s, r).
Proof.
  induction s as [|c s IH]; intros n found r S L; cbn [flat_map] in *; (destruct n as [|n]; [rewrite app_length in L; cbn in L; lia|]).
  - cbn. now rewrite rev_append_rev.
  - cbn in S. apply andb_prop in S as [C S]. rewrite <- app_assoc in *. rewrite char_written, IH; auto.
    + cbn. now rewrite <- app_assoc.
    + rewrite app_length in L. assert (W := write_char_length c). lia.
Qed.

Definition digit_step (z : Z) (b : byte) : Z := z * 10 + (number b - 48).
Lemma digit_number z : 0 <= z < 10 -> number (hex_digit z) = 48 + z.
Proof. intros H. unfold hex_digit. cases. now rewrite number_byte_of by lia. Qed.
Lemma first_digit z : 0 <= z < 10 -> hex_digit z = x30 -> z = 0.
Proof. intros H E. apply (f_equal number) in E. rewrite digit_number in E by lia. change (number x30) with 48 in E. lia. Qed.
Lemma digits_of_spec n : forall z known, 0 <= z < 2 ^ Z.of_nat (S n) -> forallb is_digit known = true ->
  let l := digits_of (S n) z known in
  fold_left digit_step l 0 = fold_left digit_step known z /\ forallb is_digit l = true
  /\ (exists b r, l = b :: r /\ (b = x30 -> z = 0 /\ r = known))
  /\ (forall k, (1 <= k)%nat -> z < 10 ^ Z.of_nat k -> (length l <= length known + k)%nat).
Proof.
  induction n as [|n IH]; intros z known H D; cbn zeta.
  - assert (z < 10) by (change (2 ^ Z.of_nat 1) with 2 in H; lia). cbn [digits_of]. cases. rewrite Z.mod_small by lia. cbn [fold_left forallb length].
    unfold digit_step at 2. unfold is_digit at 1. rewrite digit_number by lia. cases.
    repeat split; try lia; [f_equal; lia|auto|exists (hex_digit z), known; split; auto; intros Z; split; auto; apply first_digit; auto; lia].
  - remember (S n) as m. cbn [digits_of]. destruct (Z.ltb_spec z 10).
    + rewrite Z.mod_small by lia. cbn [fold_left forallb length]. unfold digit_step at 2. unfold is_digit at 1. rewrite digit_number by lia. cases.
      repeat split; try lia; [f_equal; lia|auto|exists (hex_digit z), known; split; auto; intros Z; split; auto; apply first_digit; auto; lia].
    + subst m. assert (M := Z.mod_pos_bound z 10 eq_refl). assert (E := Z.div_mod z 10 ltac:(lia)).
      destruct (IH (z / 10) (hex_digit (z mod 10) :: known)) as (A & B & (b & r & C & F) & G).
      * rewrite (Nat2Z.inj_succ (S n)), Z.pow_succ_r in H by lia. lia.
      * cbn [forallb]. unfold is_digit at 1. rewrite digit_number by lia. cases. auto.
      * cbn [fold_left length] in *. unfold digit_step at 3 in A. rewrite digit_number in A by lia.
        replace (z / 10 * 10 + (48 + z mod 10 - 48)) with z in A by lia. repeat split; auto.
        { exists b, r. split; auto. intros Z. apply F in Z as [Z _]. Z.div_mod_to_equations. lia. }
        { intros k Hk Z. destruct k as [|[|k]]; [lia|change (10 ^ Z.of_nat 1) with 10 in Z; lia|].
          rewrite Nat2Z.inj_succ, Z.pow_succ_r in Z by lia. specialize (G (S k) ltac:(lia) ltac:(lia)). lia. }
Qed.

(* What may follow a value inside of others. *)
Definition closed (s : list byte) : Prop := match s with [] | (x2c | x5d | x7d) :: _ => True | _ => False end.
Lemma digits_written l : forall found s, forallb is_digit l = true -> closed s -> leading_digits found (l ++ s) = (rev found ++ l, s).
Proof.
  induction l as [|b l IH]; intros found s D C; cbn [app leading_digits].
  - rewrite app_nil_r, <- (app_nil_r (rev found)), <- rev_append_rev. destruct s as [|b s]; [reflexivity|].
    destruct b; try contradiction C; reflexivity.
  - cbn in D. apply andb_prop in D as [B D]. rewrite B, IH by auto. cbn. now rewrite <- app_assoc.
Qed.
Lemma natural_spec z : 0 <= z < limit -> let l := natural_digits z in
  digits_value l = z /\ forallb is_digit l = true /\ (exists b r, l = b :: r /\ (b = x30 -> r = [])) /\ (length l <= most_digits)%nat.
Proof.
  intros H. destruct (digits_of_spec (Z.to_nat (Z.log2 z)) z []) as (A & B & (b & r & C & F) & G); auto.
  - rewrite Nat2Z.inj_succ, Z2Nat.id by apply Z.log2_nonneg. destruct (Z.eqb_spec z 0); [subst; cbn; lia|]. split; [lia|]. apply Z.log2_spec. lia.
  - unfold natural_digits. repeat split; auto; [exists b, r; split; auto; now intros [_ Z]%F|].
    apply (G most_digits); [apply Nat.leb_le; reflexivity|apply H].
Qed.
Lemma integer_written z s : Z.abs z < limit -> closed s -> parse_number (write_integer z ++ s) = Some (Integer z, s).
Proof.
  intros H C. assert (N : forall b r, is_digit b = true -> match b :: r with x2d :: r => (true, r) | _ => (false, b :: r) end = (false, b :: r))
    by (intros b r D; destruct b; try discriminate D; reflexivity).
  assert (E : fraction s = Some (None, s) /\ exponent s = Some (None, s))
    by (destruct s as [|b s]; [auto|destruct b; try contradiction C; auto]).
  assert (W : forall z, 0 <= z < limit -> whole (natural_digits z ++ s) = Some (natural_digits z, s)).
  { intros y R. destruct (natural_spec y R) as (V & D & (b & r & L & F) & Z). unfold whole, some_digits.
    rewrite digits_written by auto. cbn [rev app]. rewrite L in *. apply Nat.leb_le in Z. rewrite Z.
    destruct b; try reflexivity. now rewrite (F eq_refl). }
  unfold write_integer. destruct (Z.ltb_spec z 0).
  - cbn [app parse_number]. unfold parse_number. rewrite W by lia. destruct E as [-> ->]. destruct (natural_spec (- z)) as (-> & _); [lia|].
    do 3 f_equal. lia.
  - destruct (natural_spec z) as (V & D & (b & r & L & _) & _); [lia|]. unfold parse_number. rewrite L in *. cbn [forallb app] in *.
    apply andb_prop in D as [B _]. rewrite N by auto. change (b :: r ++ s) with ((b :: r) ++ s). rewrite <- L, W, L by lia.
    destruct E as [-> ->]. now rewrite V.
Qed.

(* The first byte of a value. *)
Definition starts (b : byte) : bool := match b with x6e | x74 | x66 | x22 | x5b | x7b | x2d => true | _ => is_digit b end.
Lemma integer_starts z : Z.abs z < limit -> exists b r, write_integer z = b :: r /\ (is_digit b = true \/ b = x2d).
Proof.
  intros B. unfold write_integer. destruct (Z.ltb_spec z 0); [do 2 eexists; split; [reflexivity|auto]|].
  destruct (natural_spec z) as (_ & D & (b & r & L & _) & _); [lia|]. rewrite L in *. exists b, r. cbn [forallb] in D. apply andb_prop in D. tauto.
Qed.
Lemma integer_below levels z : canonical levels (Integer z) = true -> Z.abs z < limit.
Proof. destruct levels; intros C; now apply Z.ltb_lt in C. Qed.
Lemma write_starts levels v : canonical levels v = true -> exists b r, write v = b :: r /\ starts b = true.
Proof.
  intros C. destruct v as [|[]|z| |s|l|l]; cbn [write]; try (do 2 eexists; split; [reflexivity|reflexivity]); [|destruct levels; discriminate C].
  apply integer_below, integer_starts in C as (b & r & -> & [D| ->]); exists b, r || exists x2d, r; split; auto.
  unfold starts. rewrite D. destruct b; reflexivity.
Qed.
Lemma after_starts b s : starts b = true -> after x5d (b :: s) = None /\ after x7d (b :: s) = None.
Proof. destruct b; try discriminate; split; reflexivity. Qed.

Section Written.
Variable fuel : nat.
(* Each of them is read as what was written. *)
Definition reads {A} (read : list byte -> option (A * list byte)) (writes : A -> list byte) (x : A) : Prop :=
  forall s, closed s -> (length (writes x ++ s) <= fuel)%nat -> read (writes x ++ s) = Some (x, s).

Lemma joined_cons (a b : list byte) l : joined (a :: b :: l) = a ++ x2c :: joined (b :: l).
Proof. reflexivity. Qed.
Lemma items_written element l : forall n found s, l <> [] -> Forall (reads element write) l ->
  (length (joined (map write l) ++ x5d :: s) <= min n fuel)%nat ->
  items element n found (joined (map write l) ++ x5d :: s) = Some (rev found ++ l, s).
Proof.
  induction l as [|v l IH]; intros n found s N F L; [easy|]. inversion_clear F as [|? ? V F'].
  destruct n as [|n]; [rewrite app_length in L; cbn [length] in L; lia|].
  cbn [items]. destruct l as [|w l].
  - cbn [map joined] in *. rewrite V by (exact I || lia). cbn. now rewrite rev_append_rev.
  - cbn [map] in *. rewrite joined_cons in *. rewrite <- app_assoc in *. cbn [app] in *. rewrite V by (exact I || lia). cbn [skip].
    rewrite app_length in L. cbn [length] in L. rewrite IH; auto; try easy; try lia. cbn [rev]. now rewrite <- app_assoc.
Qed.
Definition write_member (m : list Z * json) : list byte := write_text (fst m) ++ x3a :: write (snd m).
Lemma member_written element m : forallb scalar (fst m) = true -> reads element write (snd m) -> reads (member fuel element) write_member m.
Proof.
  intros S V s C L. destruct m as [key v]. unfold write_member, member, write_text in *. cbn [fst snd app skip] in *.
  rewrite <- !app_assoc in *. cbn [app length] in *. rewrite text_written by (auto; lia). cbn [rev app skip].
  rewrite V; auto. rewrite app_length in L. cbn in L. lia.
Qed.
Lemma members_written element l : forall n found s, l <> [] -> Forall (reads (member fuel element) write_member) l ->
  (length (joined (map write_member l) ++ x7d :: s) <= min n fuel)%nat ->
  members fuel element n found (joined (map write_member l) ++ x7d :: s) = Some (rev found ++ l, s).
Proof.
  induction l as [|v l IH]; intros n found s N F L; [easy|]. inversion_clear F as [|? ? V F'].
  destruct n as [|n]; [rewrite app_length in L; cbn [length] in L; lia|].
  cbn [members]. destruct l as [|w l].
  - cbn [map joined] in *. rewrite V by (exact I || lia). cbn. now rewrite rev_append_rev.
  - cbn [map] in *. rewrite joined_cons in *. rewrite <- app_assoc in *. cbn [app] in *. rewrite V by (exact I || lia). cbn [skip].
    rewrite app_length in L. cbn [length] in L. rewrite IH; auto; try easy; try lia. cbn [rev]. now rewrite <- app_assoc.
Qed.
Lemma value_number levels b s : is_digit b = true \/ b = x2d -> value fuel levels (b :: s) = parse_number (b :: s).
Proof. intros [D| ->]; destruct levels; [destruct b; try discriminate D; reflexivity ..|reflexivity|reflexivity]. Qed.
Lemma value_written levels : forall v, canonical levels v = true -> reads (value fuel levels) write v.
Proof.
  induction levels as [|levels IH]; intros v C s E L; 
    (destruct v as [|[]|z| |t|l|l]; [reflexivity|reflexivity|reflexivity| |discriminate C| |..]); try discriminate C; cbn [write] in *.
  1, 3: apply integer_below in C; destruct (integer_starts z C) as (b & r & W & B); rewrite W in *; cbn [app]; rewrite value_number by auto;
    change (b :: r ++ s) with ((b :: r) ++ s); rewrite <- W; now apply integer_written.
  1, 2: unfold write_text in *; cbn [app value skip] in *; rewrite <- app_assoc in *; cbn [app length] in *; now rewrite text_written by (auto; lia).
  - cbn [app value skip] in *. rewrite <- app_assoc in *. cbn [app length canonical] in *. rewrite forallb_forall in C.
    destruct l as [|v l]; [reflexivity|].
    assert (A : after x5d (joined (map write (v :: l)) ++ x5d :: s) = None).
    { destruct (write_starts levels v) as (b & r & W & B); [apply C; now left|]. cbn [map]. rewrite W. now destruct l; apply after_starts. }
    rewrite A, items_written; auto; [easy| |lia]. apply Forall_forall. auto.
  - cbn [app value skip] in *. rewrite <- app_assoc in *. fold write_member in *. cbn [app length canonical] in *. apply andb_prop in C as [C D].
    rewrite forallb_forall in C. destruct l as [|v l]; [reflexivity|].
    assert (A : after x7d (joined (map write_member (v :: l)) ++ x7d :: s) = None) by (now destruct l).
    fold write_member. rewrite A, members_written; auto; [|easy| |lia].
    + cbn [rev app]. unfold distinct. now rewrite D.
    + apply Forall_forall. intros m I. apply C, andb_prop in I as [S V]. apply member_written; auto.
Qed.
End Written.

(* What is written is read as what it was; so a spelling has one value only. *)
Theorem parse_write v : canonical deepest v = true -> parse (write v) = Some v.
Proof.
  intros C. unfold parse. rewrite <- (app_nil_r (write v)) at 2. rewrite value_written; auto; [exact I|]. rewrite app_nil_r. lia.
Qed.
Theorem write_injective v w : canonical deepest v = true -> canonical deepest w = true -> write v = write w -> v = w.
Proof. intros V W E. apply parse_write in V, W. rewrite E, W in V. now injection V. Qed.

(* Writing backwards, before what is known: long texts need no deep recursion. *)
Definition all_onto {A} (onto : A -> list byte -> list byte) : list A -> list byte -> list byte :=
  fix all l known := match l with [] => known | [x] => onto x known | x :: rest => all rest (x2c :: onto x known) end.
Definition text_onto (s : list Z) (known : list byte) : list byte :=
  x22 :: fold_left (fun known c => rev_append (write_char c) known) s (x22 :: known).
Fixpoint onto (v : json) (known : list byte) : list byte :=
  match v with
  | Text s => text_onto s known
  | Items l => x5d :: all_onto onto l (x5b :: known)
  | Members l => x7d :: all_onto (fun member known => onto (snd member) (x3a :: text_onto (fst member) known)) l (x7b :: known)
  | v => rev_append (write v) known
  end.
Definition spelled (v : json) : list byte := rev_append (onto v []) [].
Fixpoint same (a b : list byte) : bool :=
  match a, b with x :: s, y :: t => Byte.eqb x y && same s t | [], [] => true | _, _ => false end.
(* The value of a canonical text. *)
Definition read_canonical (s : list byte) : option json :=
  match parse s with Some v => if canonical deepest v && same (spelled v) s then Some v else None | None => None end.

Section Induction.
Variable P : json -> Prop.
Hypothesis atoms : forall v, match v with Items _ | Members _ => False | _ => True end -> P v.
Hypothesis lists : forall l, Forall P l -> P (Items l).
Hypothesis objects : forall l, Forall (fun m => P (snd m)) l -> P (Members l).
Fixpoint json_induction (v : json) : P v :=
  match v with
  | Items l => lists l ((fix all l : Forall P l := match l with [] => Forall_nil _ | x :: r => Forall_cons x (json_induction x) (all r) end) l)
  | Members l => 
      objects l ((fix all l : Forall (fun m => P (snd m)) l :=
        match l with [] => Forall_nil _ | x :: r => Forall_cons x (json_induction (snd x)) (all r) end) l)
  | v => atoms v I
  end.
End Induction.
Lemma text_onto_write s known : text_onto s known = rev (write_text s) ++ known.
Proof.
  unfold text_onto, write_text. cbn [rev]. rewrite rev_app_distr. cbn [rev app]. rewrite <- app_assoc. cbn [app]. f_equal.
  generalize (x22 :: known). induction s as [|c s IH]; intros l; [reflexivity|]. cbn [fold_left flat_map].
  now rewrite IH, rev_append_rev, rev_app_distr, <- app_assoc.
Qed.
Lemma all_onto_joined {A} (f : A -> list byte -> list byte) (writes : A -> list byte) l :
  Forall (fun x => forall known, f x known = rev (writes x) ++ known) l ->
  forall known, all_onto f l known = rev (joined (map writes l)) ++ known.
Proof.
  induction l as [|x [|y l] IH]; intros F known; [reflexivity| |]; inversion_clear F as [|? ? X F']; cbn [all_onto map joined]; [apply X|].
  cbn [all_onto map joined] in IH. rewrite IH, X by auto. rewrite rev_app_distr. cbn [rev]. now rewrite <- !app_assoc.
Qed.
Lemma onto_write v : forall known, onto v known = rev (write v) ++ known.
Proof.
  induction v as [v H|l H|l H] using json_induction; intros known.
  - destruct v; try contradiction H; cbn [onto]; try apply rev_append_rev. apply text_onto_write.
  - cbn [onto write rev]. rewrite (all_onto_joined _ write), rev_app_distr by auto. cbn. now rewrite <- app_assoc.
  - cbn [onto write rev]. rewrite (all_onto_joined _ write_member), rev_app_distr; [cbn; now rewrite <- app_assoc|].
    rewrite Forall_forall in *. intros m I s. rewrite H, text_onto_write by auto.
    unfold write_member. rewrite rev_app_distr. cbn. now rewrite <- !app_assoc.
Qed.
Theorem spelled_write v : spelled v = write v.
Proof. unfold spelled. now rewrite onto_write, app_nil_r, rev_append_rev, rev_involutive, app_nil_r. Qed.
Lemma same_spec a : forall b, same a b = true <-> a = b.
Proof.
  induction a as [|x a IH]; intros [|y b]; cbn; try easy. rewrite andb_true_iff, IH. split.
  - intros [E ->]. apply Byte.byte_dec_bl in E. now subst.
  - intros E. injection E as -> ->. split; auto. now apply Byte.byte_dec_lb.
Qed.
Theorem read_canonical_spec s v : read_canonical s = Some v <-> canonical deepest v = true /\ s = write v.
Proof.
  unfold read_canonical. split.
  - destruct (parse s) as [w|]; [|discriminate]. destruct (canonical deepest w) eqn:C; [|discriminate]. rewrite spelled_write.
    destruct (same (write w) s) eqn:E; [|discriminate]. intros H. injection H as <-. apply same_spec in E. split; [exact C|symmetry; exact E].
  - intros [C ->]. now rewrite parse_write, C, spelled_write, (proj2 (same_spec _ _) eq_refl).
Qed.

(* Keys that were found to be distinct are. *)
Lemma text_below_trans a : forall b c, text_below a b = true -> text_below b c = true -> text_below a c = true.
Proof.
  induction a as [|x a IH]; intros [|y b] [|z c] H K; cbn in *; try discriminate; auto.
  destruct (Z.ltb_spec x y), (Z.ltb_spec y z), (Z.ltb_spec x z), (Z.eqb_spec x y), (Z.eqb_spec y z), (Z.eqb_spec x z); cbn in *;
    try discriminate; try lia; eauto.
Qed.
Lemma text_below_itself a : text_below a a = false.
Proof. induction a as [|x a IH]; cbn; auto. now rewrite Z.ltb_irrefl, Z.eqb_refl. Qed.
Lemma ascending_distinct l : ascending l = true -> NoDup l.
Proof.
  intros H. assert (S : StronglySorted (fun a b => text_below a b = true) l).
  { induction l as [|a [|b l] IH]; [constructor|repeat constructor|]. cbn in H. apply andb_prop in H as [B H]. specialize (IH H).
    constructor; auto. inversion_clear IH. constructor; auto. rewrite Forall_forall in *. intros c I. eapply text_below_trans; eauto. }
  induction S as [|a l S IH F]; constructor; auto; [|apply IH; destruct l; auto; now apply andb_prop in H].
  rewrite Forall_forall in F. intros I. apply F in I. now rewrite text_below_itself in I.
Qed.
Theorem distinct_sound keys : distinct keys = true -> NoDup keys.
Proof.
  intros H. apply orb_prop in H as [H|H]; apply ascending_distinct in H; auto.
  eapply Permutation_NoDup; [apply Permutation_sym, TextSort.Permuted_sort|auto].
Qed.
