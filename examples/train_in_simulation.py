"""Seeds to a policy: generate, LoRA SFT, one GRPO step, held-out scores. About two minutes."""

import asyncio

import simia_async


async def main() -> None:
    data = await simia_async.generate(n=48)
    tuned = await simia_async.train_sft(data.run, epochs=2)
    adapters = [str(tuned.adapter)]
    async for step in simia_async.train_rl(adapter=str(tuned.adapter), steps=1, groups=4):
        print(f"step {step.step}: reward {step.reward_mean}, loss {step.loss:+.4f}")
        adapters.append(str(step.adapter))
    held_out = await simia_async.evaluate(adapters=tuple(adapters), tasks=20)
    for score in held_out.scores:
        print(
            f"{score.name}, T={score.temperature:g}: needs action {score.needs_action.value:.2f}, "
            f"no action {score.no_action.value:.2f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
