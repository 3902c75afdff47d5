"""Distillation losses, one file each: student and teacher logits in, one value per example out."""
