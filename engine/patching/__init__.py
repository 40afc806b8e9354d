"""What the heads do to the model's answer: attribution, exact patching, circuit checks (METHOD 6)."""
