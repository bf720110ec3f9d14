"""What moved a model's predictions, on a named scale; the only room that may load shap."""
