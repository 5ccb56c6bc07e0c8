"""How fast is it, and against what? Each benchmark runs its contestants side by side and compares them."""
