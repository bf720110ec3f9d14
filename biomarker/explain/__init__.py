"""What a model's prediction is made of. The only room that imports shap."""
