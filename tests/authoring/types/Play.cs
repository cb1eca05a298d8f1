// Plays the game Arsenal by its generated class: every kind of argument, an answer and an event.
using System;
using System.Threading;
using Zoneserver;

static class Play
{
    static void Main(string[] arguments)
    {
        var options = new ZoneOptions { Name = "ann", GameVersion = ArsenalGame.Version };
        ZoneClient zone = ZoneClient.Connect("127.0.0.1:" + arguments[0], options);
        var game = new ArsenalGame(zone);
        zone.Joined += () =>
        {
            game.Numbers(-9);
            game.Numbers(9, null);
            game.Texts("hello", "ann", true);
            game.Choices(ArsenalGame.Pick._3, ArsenalGame.Weapon.Sword, ArsenalGame.Rank.High);
            game.Choices(ArsenalGame.Pick.Red);
            game.Lists(new long[] { 1, 6 }, new[] { zone.Slot });
            game.Raw(new byte[] { 0, 255 });
            game.Find(40, 41);
            zone.Done(game.Count(null), outcome =>
            {
                Console.WriteLine("count " + ArsenalGame.CountAnswer(outcome));
                zone.Close();
            });
        };
        game.OnNumbers += (player, whole, real) => Console.WriteLine("numbers " + player + " " + whole + " " + (real == null ? "null" : "a number"));
        game.OnChoices += (player, pick, weapon, rank) => Console.WriteLine("choices " + pick + " " + weapon + " " + (rank == null ? "null" : rank.ToString()));
        game.OnLists += (player, dice, others) => Console.WriteLine("lists " + string.Join(",", dice) + " " + string.Join(",", others));
        game.OnFound += (player, coin, weapon, others) => Console.WriteLine("found " + (player == null) + " " + coin + " " + weapon + " " + others[0]);
        zone.Refused += refusal => Console.WriteLine(refusal.Code + " " + refusal.Text);
        for (int i = 0; i < 4000 && zone.Phase != ZonePhase.Closed; i++)
        {
            zone.Poll();
            Thread.Sleep(5);
        }
        Console.WriteLine(zone.End);
    }
}
