(* UTF-8: how code points are written as bytes, and how they are read. *)
From Coq Require Import ZArith Lia Bool Strings.Byte List.
From CompactProofs Require Import Bytes.
Import ListNotations.
Open Scope Z_scope.

(* A code point that is no surrogate. *)
Definition scalar (c : Z) : bool := (0 <=? c) && (c <? 0xd800) || (0xe000 <=? c) && (c <? 0x110000).
Definition utf8 (c : Z) : list byte :=
  if c <? 0x80 then [byte_of c]
  else if c <? 0x800 then [byte_of (0xc0 + c / 64); byte_of (0x80 + c mod 64)]
  else if c <? 0x10000 then [byte_of (0xe0 + c / 4096); byte_of (0x80 + c / 64 mod 64); byte_of (0x80 + c mod 64)]
  else [byte_of (0xf0 + c / 262144); byte_of (0x80 + c / 4096 mod 64); byte_of (0x80 + c / 64 mod 64); byte_of (0x80 + c mod 64)].

(* The code point that a text begins with, and what follows it. *)
Fixpoint continued (more : nat) (code : Z) (s : list byte) : option (Z * list byte) :=
  match more, s with
  | O, _ => Some (code, s)
  | S n, b :: r => let x := number b in if (0x80 <=? x) && (x <? 0xc0) then continued n (code * 64 + (x - 0x80)) r else None
  | _, [] => None
  end.
Definition from (least : Z) (found : option (Z * list byte)) : option (Z * list byte) :=
  match found with Some (c, r) => if (least <=? c) && scalar c then Some (c, r) else None | None => None end.
Definition code_point (s : list byte) : option (Z * list byte) :=
  match s with
  | [] => None
  | b :: r =>
      let x := number b in
      if x <? 0x80 then Some (x, r)
      else if x <? 0xc0 then None
      else if x <? 0xe0 then from 0x80 (continued 1 (x - 0xc0) r)
      else if x <? 0xf0 then from 0x800 (continued 2 (x - 0xe0) r)
      else if x <? 0xf8 then from 0x10000 (continued 3 (x - 0xf0) r)
      else None
  end.
(* All of them; found: those before, the last one first. *)
Fixpoint code_points (fuel : nat) (found : list Z) (s : list byte) : option (list Z) :=
  match s, fuel with
  | [], _ => Some (rev_append found [])
  | _, O => None
  | _, S n => match code_point s with Some (c, r) => code_points n (c :: found) r | None => None end
  end.
Definition read_utf8 (s : list byte) : option (list Z) := code_points (length s) [] s.

Ltac cases :=
  repeat match goal with
  | |- context [?a <? ?b] => destruct (Z.ltb_spec a b); try lia
  | |- context [?a <=? ?b] => destruct (Z.leb_spec a b); try lia
  | H : context [?a <? ?b] |- _ => destruct (Z.ltb_spec a b); try lia; try discriminate
  | H : context [?a <=? ?b] |- _ => destruct (Z.leb_spec a b); try lia; try discriminate
  end; cbn [andb orb] in *; try discriminate.

Lemma continued_byte n x code r : 0 <= x < 64 -> continued (S n) code (byte_of (0x80 + x) :: r) = continued n (code * 64 + x) r.
Proof.
  intros H. cbn [continued]. rewrite number_byte_of by lia. cases. now replace (128 + x - 128) with x by lia.
Qed.
Theorem code_point_complete c r : scalar c = true -> code_point (utf8 c ++ r) = Some (c, r).
Proof.
  intros H. assert (R : 0 <= c < 0x110000) by (unfold scalar in H; cases; lia).
  assert (M := Z.mod_pos_bound c 64 eq_refl). assert (M' := Z.mod_pos_bound (c / 64) 64 eq_refl).
  assert (M'' := Z.mod_pos_bound (c / 4096) 64 eq_refl).
  assert (D := Z.div_mod c 64 ltac:(lia)). assert (D' := Z.div_mod (c / 64) 64 ltac:(lia)). assert (D'' := Z.div_mod (c / 4096) 64 ltac:(lia)).
  rewrite Z.div_div in D', D'' by lia. change (64 * 64) with 4096 in D'. change (4096 * 64) with 262144 in D''.
  unfold utf8. destruct (Z.ltb_spec c 0x80); [|destruct (Z.ltb_spec c 0x800); [|destruct (Z.ltb_spec c 0x10000)]];
    cbn [app code_point]; rewrite number_byte_of by lia; cases; auto; rewrite !continued_byte by lia; cbn [continued].
  - replace ((192 + c / 64 - 192) * 64 + c mod 64) with c by lia. unfold from. rewrite H. cases. reflexivity.
  - replace (((224 + c / 4096 - 224) * 64 + c / 64 mod 64) * 64 + c mod 64) with c by lia. unfold from. rewrite H. cases. reflexivity.
  - replace ((((240 + c / 262144 - 240) * 64 + c / 4096 mod 64) * 64 + c / 64 mod 64) * 64 + c mod 64) with c by lia.
    unfold from. rewrite H. cases. reflexivity.
Qed.

Lemma continued_sound n : forall code s c r, continued n code s = Some (c, r) -> exists xs, length xs = n /\ Forall (fun x => 0 <= x < 64) xs
  /\ c = fold_left (fun a x => a * 64 + x) xs code /\ s = map (fun x => byte_of (0x80 + x)) xs ++ r.
Proof.
  induction n as [|n IH]; intros code s c r H; cbn [continued] in H.
  - injection H as <- <-. now exists [].
  - destruct s as [|b s]; [discriminate|]. assert (B := number_bounds b). cases. apply IH in H as (xs & L & F & -> & ->).
    exists (number b - 128 :: xs). cbn [map fold_left app length]. repeat split; auto; [constructor; [lia|auto]|].
    replace (128 + (number b - 128)) with (number b) by lia. now rewrite byte_of_number.
Qed.
Theorem code_point_sound s c r : code_point s = Some (c, r) -> scalar c = true /\ s = utf8 c ++ r.
Proof.
  destruct s as [|b s]; [discriminate|]. cbn [code_point]. assert (B := number_bounds b). intros H.
  assert (From : forall least found, from least found = Some (c, r) -> found = Some (c, r) /\ least <= c /\ scalar c = true).
  { intros least [[c' r']|]; unfold from; [|discriminate]. destruct (Z.leb_spec least c'); [|discriminate].
    destruct (scalar c') eqn:E; [|discriminate]. cbn. intros Q. injection Q as <- <-. auto. }
  destruct (Z.ltb_spec (number b) 0x80); [|destruct (Z.ltb_spec (number b) 0xc0); [discriminate|]].
  { injection H as <- <-. split; [unfold scalar; cases; reflexivity|]. unfold utf8. cases. cbn. now rewrite byte_of_number. }
  assert (Last : forall x y, 0 <= y < 64 -> (x * 64 + y) / 64 = x /\ (x * 64 + y) mod 64 = y).
  { intros x y Hy. Z.div_mod_to_equations. lia. }
  assert (First : forall k, byte_of (k + (number b - k)) = b) by
    (intros k; replace (k + (number b - k)) with (number b) by lia; apply byte_of_number).
  destruct (Z.ltb_spec (number b) 0xe0); [|destruct (Z.ltb_spec (number b) 0xf0); [|destruct (Z.ltb_spec (number b) 0xf8); [|discriminate]]];
    apply From in H as (H & Least & S); split; auto; apply continued_sound in H as (xs & L & F & E & ->);
    repeat (destruct xs as [|? xs]; try discriminate L);
    repeat match goal with H : Forall _ (_ :: _) |- _ => inversion_clear H end; cbn [fold_left] in E; unfold utf8;
    change 262144 with (64 * 64 * 64); change 4096 with (64 * 64).
  - destruct (Last (number b - 192) z) as [A A']; auto. cases. rewrite E, A, A', First. reflexivity.
  - destruct (Last ((number b - 224) * 64 + z) z0) as [A A']; auto. destruct (Last (number b - 224) z) as [C C']; auto. cases.
    rewrite <- !Z.div_div, E, A, A', C, C', First by lia. reflexivity.
  - destruct (Last (((number b - 240) * 64 + z) * 64 + z0) z1) as [A A']; auto.
    destruct (Last ((number b - 240) * 64 + z) z0) as [C C']; auto. destruct (Last (number b - 240) z) as [G G']; auto. cases.
    rewrite <- !Z.div_div, E, A, A', C, C', G, G', First by lia. reflexivity.
Qed.

Lemma code_points_spec n : forall found s cs, code_points n found s = Some cs ->
  exists rest, cs = rev found ++ rest /\ forallb scalar rest = true /\ s = flat_map utf8 rest.
Proof.
  induction n as [|n IH]; intros found s cs H; destruct s as [|b s]; cbn [code_points] in H; try discriminate;
    try (injection H as <-; exists []; rewrite rev_append_rev; auto).
  destruct (code_point (b :: s)) as [[c r]|] eqn:E; [|discriminate]. apply code_point_sound in E as [S ->].
  apply IH in H as (rest & -> & F & ->). exists (c :: rest). cbn. now rewrite <- app_assoc, S.
Qed.
Theorem read_utf8_sound s cs : read_utf8 s = Some cs -> forallb scalar cs = true /\ s = flat_map utf8 cs.
Proof. intros H. now apply code_points_spec in H as (rest & -> & F & ->). Qed.
