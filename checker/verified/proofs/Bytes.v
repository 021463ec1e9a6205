(* Bytes: their numbers, sequences of them as files have them, and what is written in such a sequence. *)
From Coq Require Import ZArith Lia Strings.Byte List.
Import ListNotations.
Open Scope Z_scope.

(* The number of a byte, 0 to 255; and the byte with a number, modulo 256. *)
Definition number (b : byte) : Z := Z.of_N (Byte.to_N b).
Definition byte_of (z : Z) : byte := match Byte.of_N (Z.to_N (z mod 256)) with Some b => b | None => x00 end.

Lemma number_bounds b : 0 <= number b < 256.
Proof. unfold number. assert (H := Byte.to_N_bounded b). lia. Qed.
Lemma byte_of_number b : byte_of (number b) = b.
Proof. unfold byte_of. rewrite Z.mod_small by apply number_bounds. unfold number. now rewrite N2Z.id, Byte.of_to_N. Qed.
Lemma number_byte_of z : 0 <= z < 256 -> number (byte_of z) = z.
Proof.
  intros H. unfold byte_of. rewrite Z.mod_small by lia. destruct (Byte.of_N (Z.to_N z)) eqn:E.
  - apply Byte.to_of_N in E. unfold number. rewrite E. lia.
  - apply Byte.of_N_None_iff in E. lia.
Qed.

(* A finite sequence of bytes: how many, and which one is at a place. Places from the size on do not matter. *)
Record bytes := Bytes { n_bytes : nat; byte_at : nat -> byte }.
Definition bytes_of (l : list byte) : bytes := Bytes (length l) (fun i => nth i l x00).
Definition list_of (s : bytes) : list byte := map (byte_at s) (seq 0 (n_bytes s)).
Lemma list_of_bytes_of l : list_of (bytes_of l) = l.
Proof.
  unfold list_of, bytes_of. cbn. apply nth_ext with (d := x00) (d' := x00); rewrite map_length, seq_length; auto.
  intros i L. rewrite nth_indep with (d' := nth 0 l x00) by (now rewrite map_length, seq_length).
  rewrite (map_nth (fun i => nth i l x00)), seq_nth by auto. reflexivity.
Qed.
